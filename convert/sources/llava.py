"""Checkpoints of transformers' LLaVA with a SigLIP tower: encoder, linear, GELU, linear, a decoder.

The runtime's graph is its projector type `mlp`. LLaVA takes the output of one of the encoder's layers, without the
norm at its end; the file holds the layers up to that one.
"""

from magicvl.convert.checkpoint import Checkpoint
from magicvl.convert.decoder import read_decoder
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources.hugging_face import (
    PROJECTORS,
    SIGLIP,
    TOWERS,
    channels,
    check_projector,
    check_siglip,
    check_steps,
    decoder_names,
    first_prefix,
    placeholder,
    read_image_processor,
    resample,
    unused_layers,
    with_defaults,
)
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.contract import VisionNames, mmproj_dropped, mmproj_tensors

MODEL_TYPE = "llava"
_DECODERS = ("model.language_model.", "language_model.model.")
_TILE = {"height": 224, "width": 224}


def understand(checkpoint: Checkpoint, config: Reader) -> Source:
    """Reads config.json and the processor's files. Problems go to the reader of the former."""
    processor = read_image_processor(checkpoint, config.problems)
    text = config.part("text_config")
    vision_config = with_defaults(config, "vision_config", SIGLIP)
    names = _names(checkpoint)
    tied = bool(config.data.get("tie_word_embeddings") or text.data.get("tie_word_embeddings", False))
    decoder = read_decoder(text, tied=tied, names=decoder_names(checkpoint, _DECODERS))
    vision = _vision(config, vision_config, decoder.width)
    image_token = str(processor.data.get("image_token") or "<image>")
    unused = range(vision.layers, vision_config.whole("num_hidden_layers"))
    return Source(
        layout="llava",
        directory=checkpoint.tokenizer,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=vision_config.real("layer_norm_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, names=names)),
        vision_dropped=(*mmproj_dropped(vision, names), *unused_layers(names, unused)),
        picture=_picture(processor, vision_config.whole("image_size")),
        pieces=Pieces("", "", "", "", placeholder=placeholder(checkpoint.tokenizer, image_token)),
        image_token=image_token,
        image_token_id=config.token("image_token_index" if "image_token_index" in config.data else "image_token_id"),
    )


def _vision(config: Reader, vision: Reader, text_width: int) -> VisionInfo:
    vision.demand("model_type", "siglip_vision_model", None)
    check_siglip(vision)
    # "default" leaves out the first token, which in a SigLIP tower is a patch and no class token.
    config.demand("vision_feature_select_strategy", "full", "default")
    config.demand("multimodal_projector_bias", True, True)
    check_projector(config)
    return VisionInfo(
        width=vision.whole("hidden_size"),
        layers=_layers(config, vision.whole("num_hidden_layers")),
        heads=vision.whole("num_attention_heads"),
        feed_forward=vision.whole("intermediate_size"),
        patch=vision.whole("patch_size"),
        unshuffle=1,
        positions=max(1, vision.whole("image_size") // vision.whole("patch_size")),
        projector_width=text_width,
        projector="mlp",
    )


def _layers(config: Reader, there: int) -> int:
    """How many layers run until the one that the projector takes; -1 is the last one's output."""
    wanted = config.data.get("vision_feature_layer", -2)
    if isinstance(wanted, list) and len(wanted) == 1:
        wanted = wanted[0]
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not -there <= wanted <= there or wanted == 0:
        config.problems.append(
            f"config.json: vision_feature_layer is {wanted!r}; one layer of the encoder's {there} can be converted"
        )
        return there
    return wanted if wanted > 0 else there + 1 + wanted


def _names(checkpoint: Checkpoint) -> VisionNames:
    tower = first_prefix(checkpoint.tensors, TOWERS)
    tower = first_prefix(checkpoint.tensors, (tower + "vision_model.", tower))
    return VisionNames(tower=tower, projector=first_prefix(checkpoint.tensors, PROJECTORS), flat_patches=False)


def _picture(processor: Reader, tile: int) -> PictureInfo:
    """SigLIP's image processor: the whole picture as one square."""
    check_steps(processor)
    processor.demand("do_pad", None, None)
    size = processor.data.get("size") or _TILE
    if size != {"height": tile, "width": tile}:
        processor.problems.append(f"{processor.name}: size is {size}, the encoder takes squares of {tile} px")
    return PictureInfo(
        tile=tile,
        max_tiles=1,
        mean=channels(processor, "image_mean", (0.5, 0.5, 0.5)),
        std=channels(processor, "image_std", (0.5, 0.5, 0.5)),
        resample=resample(processor, default=3),
        policy="square",
    )
