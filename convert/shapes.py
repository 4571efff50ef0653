"""What a checkpoint's configuration says about its shape, checked against what the runtime can compute.

All problems are collected before anything is raised: nobody should have to convert five times to learn five
things.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from magicvl.convert.checkpoint import Checkpoint
from magicvl.edge.bundle import LanguageInfo, PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.errors import CheckpointError
from magicvl.mmproj.contract import ACTIVATION


@dataclass(frozen=True)
class Decoder:
    """Shape of a Llama-architecture decoder."""

    architecture: str
    """llama.cpp's name of it."""
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocabulary: int
    """Rows of the embedding table, at least the tokens of the tokenizer."""
    context: int
    """Positions that it was made for, in tokens."""
    rope_theta: float
    norm_eps: float
    tied: bool
    """Whether the output head is the embedding table."""
    attention_bias: bool
    mlp_bias: bool

    @property
    def info(self) -> LanguageInfo:
        """The part that the lock holds."""
        return LanguageInfo(self.architecture, self.width, self.layers, self.vocabulary, self.context)


@dataclass(frozen=True)
class Shapes:
    """Everything that the configuration files of a checkpoint say."""

    vision: VisionInfo
    vision_norm_eps: float
    projector_norm: bool
    decoder: Decoder
    picture: PictureInfo
    pieces: Pieces


def read_shapes(checkpoint: Checkpoint) -> Shapes:
    """Reads config.json and processor_config.json. Raises CheckpointError with every problem in one line."""
    problems: list[str] = []
    config = _Reader("config.json", checkpoint.config, problems)
    processor = _Reader("processor_config.json", checkpoint.processor, problems)
    vision = _vision(config)
    shapes = Shapes(
        vision=vision,
        vision_norm_eps=config.part("vision_config").real("layer_norm_eps", 1e-6),
        projector_norm=bool(checkpoint.config.get("projector_use_layernorm", True)),
        decoder=_decoder(config),
        picture=_picture(processor),
        pieces=_pieces(processor),
    )
    _agree(checkpoint, problems)
    if problems:
        raise CheckpointError(f"{checkpoint.directory}: {'; '.join(problems)}")
    return shapes


class _Reader:
    """One JSON object: gives numbers, and notes what is missing or of the wrong kind instead of raising."""

    def __init__(self, name: str, data: Mapping[str, Any], problems: list[str]) -> None:
        self.name, self.data, self.problems = name, data, problems

    def part(self, key: str) -> "_Reader":
        value = self.data.get(key)
        if not isinstance(value, dict):
            self.problems.append(f"{self.name} lacks the object {key}")
            value = {}
        return _Reader(f"{self.name}: {key}", value, self.problems)

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.data.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.problems.append(f"{self.name}: {key} is {value!r}, a positive whole number is due")
            return 1
        return value

    def real(self, key: str, default: float | None = None) -> float:
        value = self.data.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            self.problems.append(f"{self.name}: {key} is {value!r}, a positive number is due")
            return 1.0
        return float(value)

    def demand(self, key: str, due: object, default: object) -> None:
        """Notes a value that the runtime's graph cannot compute."""
        if (value := self.data.get(key, default)) != due:
            self.problems.append(f"{self.name}: {key} is {value!r}, the runtime computes {due!r}")


def _vision(config: _Reader) -> VisionInfo:
    vision = config.part("vision_config")
    vision.demand("model_type", "siglip2_vision_model", "siglip2_vision_model")
    vision.demand("hidden_act", ACTIVATION, ACTIVATION)
    vision.demand("num_channels", 3, 3)
    config.demand("projector_hidden_act", ACTIVATION, ACTIVATION)
    config.demand("projector_bias", True, True)
    table = vision.whole("num_patches")
    side = math.isqrt(table)
    if side**2 != table:
        config.problems.append(f"vision_config: num_patches is {table}, a square number is due")
    return VisionInfo(
        width=vision.whole("hidden_size"),
        layers=vision.whole("num_hidden_layers"),
        heads=vision.whole("num_attention_heads"),
        feed_forward=vision.whole("intermediate_size"),
        patch=vision.whole("patch_size"),
        unshuffle=config.whole("downsample_factor", 2),
        positions=side,
        projector_width=config.whole("projector_hidden_size"),
    )


def _decoder(config: _Reader) -> Decoder:
    text = config.part("text_config")
    text.demand("model_type", "llama", None)
    text.demand("hidden_act", "silu", "silu")
    width, heads = text.whole("hidden_size"), text.whole("num_attention_heads")
    return Decoder(
        architecture="llama",
        width=width,
        layers=text.whole("num_hidden_layers"),
        heads=heads,
        kv_heads=text.whole("num_key_value_heads", heads),
        head_dim=text.whole("head_dim", max(1, width // heads)),
        feed_forward=text.whole("intermediate_size"),
        vocabulary=text.whole("vocab_size"),
        context=text.whole("max_position_embeddings"),
        rope_theta=_rope_theta(text),
        norm_eps=text.real("rms_norm_eps", 1e-6),
        tied=bool(config.data.get("tie_word_embeddings", True)),
        attention_bias=bool(text.data.get("attention_bias", False)),
        mlp_bias=bool(text.data.get("mlp_bias", False)),
    )


def _rope_theta(text: _Reader) -> float:
    """transformers 5 writes `rope_parameters`, older versions `rope_theta` and `rope_scaling`."""
    rope = text.data.get("rope_parameters") or text.data.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        text.problems.append(f"{text.name}: rope type {kind!r}, 'default' can be converted")
    theta = {"rope_theta": text.data.get("rope_theta", 10000.0)} | rope
    return _Reader(text.name, theta, text.problems).real("rope_theta")


def _picture(processor: _Reader) -> PictureInfo:
    return PictureInfo(
        tile=processor.whole("tile_size"),
        max_tiles=processor.whole("max_tiles"),
        mean=_channels(processor, "image_mean"),
        std=_channels(processor, "image_std"),
    )


def _channels(processor: _Reader, key: str) -> tuple[float, float, float]:
    values = processor.data.get(key)
    try:
        red, green, blue = (float(value) for value in values or ())
    except (TypeError, ValueError):
        processor.problems.append(f"{processor.name}: {key} is {values!r}, three numbers are due")
        return (0.5, 0.5, 0.5)
    if not all(map(math.isfinite, (red, green, blue))) or (key == "image_std" and min(red, green, blue) <= 0):
        processor.problems.append(f"{processor.name}: {key} is {values!r}: no picture can be normalised by it")
    return red, green, blue


def _pieces(processor: _Reader) -> Pieces:
    data = processor.data.get("picture_pieces") or {}
    known = set(vars(Pieces()))
    if not isinstance(data, dict) or set(data) - known or not all(isinstance(v, str) for v in data.values()):
        processor.problems.append(f"{processor.name}: picture_pieces must be texts named {sorted(known)}")
        return Pieces()
    return Pieces(**data)


def _agree(checkpoint: Checkpoint, problems: list[str]) -> None:
    """The model and its processor must cut pictures alike."""
    config, processor = checkpoint.config, checkpoint.processor
    pairs = {
        "patch_size": (config.get("vision_config") or {}).get("patch_size"),
        "downsample_factor": config.get("downsample_factor", 2),
        "tile_size": config.get("tile_size", 384),
        "max_tiles": config.get("max_tiles", 24),
    }
    for key, ours in pairs.items():
        if processor.get(key) != ours:
            problems.append(f"{key} is {ours!r} in config.json and {processor.get(key)!r} in processor_config.json")
    standard = dict(vars(Pieces()))
    ours, theirs = config.get("picture_pieces") or standard, processor.get("picture_pieces") or standard
    if ours != theirs:
        problems.append(f"picture_pieces are {ours!r} in config.json and {theirs!r} in processor_config.json")
