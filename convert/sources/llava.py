"""Checkpoints of transformers' LLaVA with a SigLIP tower: encoder, linear, GELU, linear, a decoder.

The runtime's graph is its projector type `mlp`. LLaVA takes the output of one of the encoder's layers, without the
norm at its end; the file holds the layers up to that one.
"""

from dataclasses import replace
from typing import Any

from magicvl.convert.checkpoint import Checkpoint
from magicvl.convert.decoder import DecoderNames, read_decoder
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources.hugging_face import (
    SIGLIP,
    channels,
    check_siglip,
    check_steps,
    first_prefix,
    placeholder,
    read_image_processor,
    resample,
)
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.errors import CheckpointError
from magicvl.mmproj.contract import Dropped, VisionNames, mmproj_dropped, mmproj_tensors

MODEL_TYPE = "llava"
_TOWERS = ("model.vision_tower.", "vision_tower.")
_PROJECTORS = ("model.multi_modal_projector.", "multi_modal_projector.")
_DECODERS = ("model.language_model.", "language_model.model.")
_HEADS = ("lm_head.weight", "language_model.lm_head.weight")
_TILE = {"height": 224, "width": 224}
_ACTIVATIONS = ("gelu", "gelu_pytorch_tanh")


def recognises(config: dict[str, Any]) -> bool:
    """Whether a config.json is of this layout."""
    return config.get("model_type") == MODEL_TYPE


def understand(checkpoint: Checkpoint) -> Source:
    """Reads config.json and the processor's files. Raises CheckpointError with every problem in one line."""
    problems: list[str] = []
    config = Reader("config.json", checkpoint.config, problems)
    processor = read_image_processor(checkpoint, problems)
    text = config.part("text_config")
    vision_config = Reader("vision_config", {**SIGLIP, **config.part("vision_config").data}, problems)
    names = _names(checkpoint)
    tied = bool(config.data.get("tie_word_embeddings") or text.data.get("tie_word_embeddings", False))
    decoder = read_decoder(text, tied=tied, names=_decoder_names(checkpoint))
    vision = _vision(config, vision_config, decoder.width)
    image_token = str(processor.data.get("image_token") or "<image>")
    unused = range(vision.layers, vision_config.whole("num_hidden_layers"))
    source = Source(
        layout="llava",
        directory=checkpoint.tokenizer,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=vision_config.real("layer_norm_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, names=names)),
        vision_dropped=(*mmproj_dropped(vision, names), *_unused_layers(names, unused)),
        picture=_picture(processor, vision_config.whole("image_size")),
        pieces=Pieces("", "", "", "", placeholder=placeholder(checkpoint.tokenizer, image_token)),
        image_token=image_token,
        image_token_id=config.token("image_token_index" if "image_token_index" in config.data else "image_token_id"),
    )
    if problems:
        raise CheckpointError(f"{checkpoint.directory}: {'; '.join(problems)}")
    return source


def _vision(config: Reader, vision: Reader, text_width: int) -> VisionInfo:
    vision.demand("model_type", "siglip_vision_model", None)
    check_siglip(vision)
    # "default" leaves out the first token, which in a SigLIP tower is a patch and no class token.
    config.demand("vision_feature_select_strategy", "full", "default")
    config.demand("multimodal_projector_bias", True, True)
    # The exact GELU and the runtime's differ by less than the tolerance of F16.
    if (found := config.data.get("projector_hidden_act", "gelu")) not in _ACTIVATIONS:
        config.problems.append(f"config.json: projector_hidden_act is {found!r}, the runtime computes {_ACTIVATIONS}")
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


def _unused_layers(names: VisionNames, layers: range) -> list[Dropped]:
    reason = "the projector takes the output of an earlier layer"
    return [Dropped(f"{names.tower}encoder.layers.{layer}.", reason) for layer in layers]


def _names(checkpoint: Checkpoint) -> VisionNames:
    tower = first_prefix(checkpoint.tensors, _TOWERS)
    tower = first_prefix(checkpoint.tensors, (tower + "vision_model.", tower))
    return VisionNames(tower=tower, projector=first_prefix(checkpoint.tensors, _PROJECTORS), flat_patches=False)


def _decoder_names(checkpoint: Checkpoint) -> DecoderNames:
    names = DecoderNames(prefix=first_prefix(checkpoint.tensors, _DECODERS))
    return replace(names, head=first_prefix(checkpoint.tensors, _HEADS))


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
