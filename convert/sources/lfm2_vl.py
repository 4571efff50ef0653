"""Checkpoints of LFM2-VL: a SigLIP2 encoder of any grid, an unshuffle, linear, GELU, linear, a decoder.

The runtime's graph is its projector type `lfm2`, which MagicVL's own checkpoints have too. Two generations: Liquid's
own code (model_type `lfm2-vl`, its picture settings in processor_config.json), and transformers (`lfm2_vl`).
"""

import math

from magicvl.convert.checkpoint import Checkpoint
from magicvl.convert.decoder import read_decoder
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources.hugging_face import (
    PROJECTORS,
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
    table_side,
    token_text,
    unused_layers,
    with_defaults,
)
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.plan import MAX_SPLIT
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.contract import Dropped, VisionNames, mmproj_dropped, mmproj_tensors

MODEL_TYPES = ("lfm2_vl", "lfm2-vl")
_VISION = {
    "model_type": "siglip2_vision_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_patches": 256,
    "patch_size": 16,
}
"""What the classes have for a key that config.json leaves out."""
_DECODERS = ("model.language_model.", "language_model.model.", "language_model.")


def understand(checkpoint: Checkpoint, config: Reader) -> Source:
    """Reads config.json and the processor's files. Problems go to the reader of the former."""
    processor = read_image_processor(checkpoint, config.problems)
    vision_config = with_defaults(config, "vision_config", _VISION)
    text = config.part("text_config")
    text = Reader(text.name, {"model_type": "lfm2", **text.data}, text.problems)
    names = _names(checkpoint)
    tied = bool(config.data.get("tie_embedding", config.data.get("tie_word_embeddings", True)))
    decoder = read_decoder(text, tied=tied, names=decoder_names(checkpoint, _DECODERS))
    vision = _vision(config, vision_config)
    projector_norm = bool(config.data.get("projector_use_layernorm", True))
    unused = unused_layers(names, range(vision.layers, vision_config.whole("num_hidden_layers")))
    _check_unused(config, unused, checkpoint)
    image_token = token_text(checkpoint, "image_token", "<image>")
    return Source(
        layout="lfm2_vl",
        directory=checkpoint.tokenizer,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=vision_config.real("layer_norm_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, projector_norm=projector_norm, names=names)),
        vision_dropped=(*mmproj_dropped(vision, names), *unused),
        picture=_picture(processor, vision),
        pieces=_pieces(checkpoint, processor, image_token),
        image_token=image_token,
        image_token_id=config.token("image_token_index" if "image_token_index" in config.data else "image_token_id"),
    )


def _vision(config: Reader, vision: Reader) -> VisionInfo:
    vision.demand("model_type", "siglip2_vision_model", None)
    check_siglip(vision)
    config.demand("projector_bias", True, True)
    check_projector(config)
    side = table_side(vision)
    return VisionInfo(
        width=vision.whole("hidden_size"),
        layers=_layers(config, vision.whole("num_hidden_layers")),
        heads=vision.whole("num_attention_heads"),
        feed_forward=vision.whole("intermediate_size"),
        patch=vision.whole("patch_size"),
        unshuffle=config.whole("downsample_factor", 2),
        positions=side,
        projector_width=config.whole("projector_hidden_size", 2560),
    )


def _layers(config: Reader, there: int) -> int:
    """How many layers run: Liquid's code cuts the encoder after `vision_feature_layer` and keeps its last norm."""
    wanted = config.data.get("vision_feature_layer", -1)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not -there <= wanted <= -1:
        config.problems.append(f"config.json: vision_feature_layer is {wanted!r}, -{there} to -1 can be converted")
        return there
    return there + 1 + wanted


def _check_unused(config: Reader, unused: list[Dropped], checkpoint: Checkpoint) -> None:
    """transformers runs every layer, whatever that key says: where both are there, nobody can tell what is meant."""
    there = [rule for rule in unused if any(name.startswith(rule.prefix) for name in checkpoint.tensors)]
    if there and config.data.get("model_type") == "lfm2_vl":
        config.problems.append(
            f"config.json: vision_feature_layer is {config.data['vision_feature_layer']!r}, which transformers would "
            f"not heed, and the {len(there)} layers after it are there; take out the one or the others"
        )


def _names(checkpoint: Checkpoint) -> VisionNames:
    tower = first_prefix(checkpoint.tensors, TOWERS)
    # As transformers 4 called them.
    older = tower + "vision_model."
    tower = older if any(name.startswith(older) for name in checkpoint.tensors) else tower
    return VisionNames(tower=tower, projector=first_prefix(checkpoint.tensors, PROJECTORS))


def _picture(processor: Reader, vision: VisionInfo) -> PictureInfo:
    """Lfm2VlImageProcessor: one tile of any shape, or a grid of full tiles and a thumbnail."""
    # It resizes whatever `do_resize` says, which is false in Liquid's own files.
    check_steps(Reader(processor.name, {**processor.data, "do_resize": None}, processor.problems))
    processor.demand("encoder_patch_size", vision.patch, vision.patch)
    processor.demand("downsample_factor", vision.unshuffle, vision.unshuffle)
    unit = vision.patch * vision.unshuffle
    tile, most = processor.whole("tile_size", 512), processor.whole("max_image_tokens", 256)
    least, tolerance = processor.whole("min_image_tokens", 64), processor.real("max_pixels_tolerance", 2.0)
    if tile % unit:
        processor.problems.append(f"{processor.name}: tile_size is {tile}, no multiple of the token's {unit} px")
    if least > most:
        processor.problems.append(f"{processor.name}: min_image_tokens is {least}, max_image_tokens {most}")
    fewest, largest = _splits(processor)
    overview = largest > 1 and bool(processor.data.get("use_thumbnail", True))
    return PictureInfo(
        tile=tile,
        max_tiles=largest + overview,
        mean=channels(processor, "image_mean", (0.5, 0.5, 0.5)),
        std=channels(processor, "image_std", (0.5, 0.5, 0.5)),
        resample=resample(processor, default=2),
        policy="lfm2",
        overview=overview,
        min_tokens=least,
        max_tokens=most,
        min_tiles=fewest,
        split_above=max(1, math.floor(most * unit**2 * tolerance)),
    )


def _splits(processor: Reader) -> tuple[int, int]:
    """Fewest and most tiles of a large picture; 1 and 1 where none is split."""
    if not processor.data.get("do_image_splitting", True):
        return 1, 1
    fewest, most = processor.whole("min_tiles", 2), processor.whole("max_tiles", 10)
    if not fewest <= most <= MAX_SPLIT:
        processor.problems.append(
            f"{processor.name}: min_tiles is {fewest}, max_tiles {most}; up to {MAX_SPLIT} tiles can be cut, the "
            f"fewest first"
        )
    return fewest, most


def _pieces(checkpoint: Checkpoint, processor: Reader, image_token: str) -> Pieces:
    """What Lfm2VlProcessor writes around the tokens of a picture."""
    mark = placeholder(checkpoint.tokenizer, image_token)
    if not processor.data.get("use_image_special_tokens", True):
        return Pieces("", "", "", "", placeholder=mark)
    return Pieces(
        before=token_text(checkpoint, "image_start_token", "<|image_start|>"),
        between="",
        row="",
        after=token_text(checkpoint, "image_end_token", "<|image_end|>"),
        tile="<|img_row_{row}_col_{column}|>",
        overview=token_text(checkpoint, "image_thumbnail_token", "<|img_thumbnail|>"),
        placeholder=mark,
    )
