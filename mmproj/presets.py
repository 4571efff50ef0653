"""The named shapes of MagicVL, as plain numbers: no torch, so that tools can list them anywhere."""

from dataclasses import dataclass

from magicvl.errors import UsageError


@dataclass(frozen=True)
class VisionShape:
    """The encoder: a SigLIP2-style ViT."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    patch: int = 16
    """Side of a patch in px."""
    positions: int = 24
    """Side of the learned position table in patches: 24 patches of 16 px are one 384 px tile."""


@dataclass(frozen=True)
class LanguageShape:
    """The decoder, in the terms of transformers' Llama and Qwen3 configs."""

    model_type: str
    """`llama` or `qwen3`."""
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocabulary: int
    context: int
    """Positions that it was made for, in tokens."""
    rope_theta: float
    norm_eps: float
    tied: bool = True
    """Whether the output head is the embedding table."""


@dataclass(frozen=True)
class Preset:
    """Both halves and the projector between them."""

    name: str
    vision: VisionShape
    projector_width: int
    """Width of the projector's hidden layer."""
    language: LanguageShape


PRESETS = {
    preset.name: preset
    for preset in (
        # SigLIP2-base and Qwen3-1.7B: the paper's own pair. Its 93 M count the pooling head, which no visual token
        # sees; without it the encoder has 86 M.
        Preset(
            "magicvl-2b",
            VisionShape(width=768, layers=12, heads=12, feed_forward=3072),
            projector_width=2048,
            language=LanguageShape("qwen3", 2048, 28, 16, 8, 128, 6144, 151936, 40960, 1e6, 1e-6),
        ),
        # A DeiT-small-sized encoder and SmolLM2-135M.
        Preset(
            "magicvl-tiny",
            VisionShape(width=384, layers=12, heads=6, feed_forward=1536),
            projector_width=1152,
            language=LanguageShape("llama", 576, 30, 9, 3, 64, 1536, 49152, 8192, 1e5, 1e-5),
        ),
        # For tests and training on a CPU. Widths of the decoder are multiples of 256: every block type fits.
        Preset(
            "magicvl-nano",
            VisionShape(width=192, layers=8, heads=3, feed_forward=768),
            projector_width=512,
            language=LanguageShape("llama", 256, 6, 4, 2, 64, 768, 1024, 8192, 1e4, 1e-5),
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError that lists the names there are."""
    if name not in PRESETS:
        raise UsageError(f"preset {name!r}: there are {', '.join(PRESETS)}")
    return PRESETS[name]
