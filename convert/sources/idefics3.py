"""Checkpoints of transformers' Idefics3 and SmolVLM: a SigLIP encoder, an unshuffle, one linear layer, a decoder.

The runtime's graph is its projector type `idefics3`.
"""

from magicvl.convert.checkpoint import Checkpoint
from magicvl.convert.decoder import DecoderNames, read_decoder
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources.hugging_face import (
    channels,
    check_siglip,
    check_steps,
    placeholder,
    read_image_processor,
    resample,
    token_text,
    with_defaults,
)
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.contract import VisionNames, mmproj_dropped, mmproj_tensors

MODEL_TYPES = ("idefics3", "smolvlm")
NAMES = VisionNames(
    tower="model.vision_model.",
    projector="model.connector.",
    modules={"projector.linear": "modality_projection.proj"},
    flat_patches=False,
)
DECODER_NAMES = DecoderNames(prefix="model.text_model.")
_VISION = {
    "hidden_size": 1152,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 32,
}
"""What the classes have for a key that config.json leaves out, as some checkpoints do."""
_TEXT = {"model_type": "llama", "num_attention_heads": 32}


def understand(checkpoint: Checkpoint, config: Reader) -> Source:
    """Reads config.json and the processor's files. Problems go to the reader of the former."""
    processor = read_image_processor(checkpoint, config.problems)
    vision_config = with_defaults(config, "vision_config", _VISION)
    text_config = with_defaults(config, "text_config", _TEXT)
    tile = vision_config.whole("image_size")
    vision = _vision(config, vision_config)
    tied = bool(config.data.get("tie_word_embeddings", False))
    decoder = read_decoder(text_config, tied=tied, names=DECODER_NAMES)
    picture = _picture(processor, tile)
    image_token = token_text(checkpoint, "image_token", "<image>")
    return Source(
        layout=str(config.data["model_type"]),
        directory=checkpoint.tokenizer,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=vision_config.real("layer_norm_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, names=NAMES)),
        vision_dropped=tuple(mmproj_dropped(vision, NAMES)),
        picture=picture,
        pieces=_pieces(checkpoint, image_token),
        image_token=image_token,
        image_token_id=config.token("image_token_id"),
    )


def _vision(config: Reader, vision: Reader) -> VisionInfo:
    check_siglip(vision)
    size, patch, unshuffle = vision.whole("image_size"), vision.whole("patch_size"), config.whole("scale_factor", 2)
    if size // patch < 1 or (size // patch) % unshuffle:
        config.problems.append(
            f"config.json: scale_factor is {unshuffle}, the {size // patch} patches of a side are no multiple of it"
        )
    return VisionInfo(
        width=vision.whole("hidden_size"),
        layers=vision.whole("num_hidden_layers"),
        heads=vision.whole("num_attention_heads"),
        feed_forward=vision.whole("intermediate_size"),
        patch=patch,
        unshuffle=unshuffle,
        positions=size // patch,
        projector_width=None,
        projector="idefics3",
    )


def _picture(processor: Reader, tile: int) -> PictureInfo:
    """The processor cuts pictures into tiles of `max_image_size`, which must be what the encoder takes.

    Without splitting it makes one of the whole picture, after the same first resize.
    """
    check_steps(processor)
    splits = processor.data.get("do_image_splitting", True)
    if not isinstance(splits, bool):
        processor.problems.append(f"{processor.name}: do_image_splitting is {splits!r}, true or false is due")
    if (most := _longest_edge(processor, "max_image_size", 364)) != tile:
        processor.problems.append(f"{processor.name}: max_image_size is {most}, the encoder takes tiles of {tile} px")
    longest = max(_longest_edge(processor, "size", 4 * 364), tile)
    return PictureInfo(
        tile=tile,
        max_tiles=(-(-longest // tile)) ** 2 + 1 if splits else 1,
        mean=channels(processor, "image_mean", (0.5, 0.5, 0.5)),
        std=channels(processor, "image_std", (0.5, 0.5, 0.5)),
        resample=resample(processor, default=1),
        policy="idefics3" if splits else "square",
        longest=longest,
    )


def _longest_edge(processor: Reader, key: str, default: int) -> int:
    size = processor.data.get(key) or {"longest_edge": default}
    return Reader(f"{processor.name}: {key}", size, processor.problems).whole("longest_edge")


def _pieces(checkpoint: Checkpoint, image_token: str) -> Pieces:
    """What Idefics3Processor and SmolVLMProcessor write around the tokens of a picture."""
    around = token_text(checkpoint, "fake_image_token", "<fake_token_around_image>")
    whole = token_text(checkpoint, "global_image_token", "<global-img>")
    return Pieces(
        before="",
        between="",
        row="\n",
        after=around,
        tile=around + "<row_{row}_col_{column}>",
        overview=f"\n\n{around}{whole}",
        single=around + whole,
        placeholder=placeholder(checkpoint.tokenizer, image_token),
    )
