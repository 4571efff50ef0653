"""The GGUF contract of `mmproj.gguf`: every metadata key and every tensor, each in one declarative table.

The graph is llama.cpp's projector type `lfm2`; keys and names are those that its tools/mtmd/clip.cpp reads.
The tables serve both directions: `convert` reads them from left to right, `restore` from right to left.
No torch and no gguf here, so that anything may import it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from magicvl.edge.bundle import PictureInfo, VisionInfo

ARCHITECTURE = "clip"
PROJECTOR = "lfm2"
ACTIVATION = "gelu_pytorch_tanh"
"""The one activation that the runtime's graph computes, in encoder and projector."""
PROJECTOR_NORM_EPS = 1e-5
"""Written into the runtime's graph, and torch's default for LayerNorm."""


class Layout(Enum):
    """How the numbers of a tensor are arranged on the two sides."""

    SAME = "same"
    PATCHES = "patches"
    """Checkpoint (out, patch * patch * 3), channel fastest; GGUF (out, 3, patch, patch), as a convolution."""
    ROTARY_HEADS = "rotary_heads"
    """Rows of each query head: halves in the checkpoint, interleaved pairs in GGUF."""
    ROTARY_KV_HEADS = "rotary_kv_heads"
    """The same for the heads of keys."""


@dataclass(frozen=True)
class TensorRule:
    """One row of a tensor table. `{layer}` in both names stands for each layer in turn."""

    source: str
    """Name in the checkpoint."""
    target: str
    """Name in the GGUF file."""
    shape: tuple[str, ...]
    """The checkpoint's shape, as names of sizes."""
    layout: Layout = Layout.SAME
    when: str | None = None
    """A switch of the configuration without which the tensor does not exist."""


@dataclass(frozen=True)
class Tensor:
    """A rule applied to a configuration: one tensor that must be there."""

    source: str
    target: str
    shape: tuple[int, ...]
    """The checkpoint's shape."""
    layout: Layout


@dataclass(frozen=True)
class Dropped:
    """Tensors that a checkpoint may hold and that the bundle leaves out, and why."""

    prefix: str
    reason: str
    when: str | None = None


@dataclass(frozen=True)
class KeyRule:
    """One metadata key: `kind` is the name of a GGUF value type, `f32[]` an array of them."""

    key: str
    kind: str
    value: str
    """The name of the value, see `mmproj_values`."""


_TOWER = "model.vision_tower."
_LAYER = _TOWER + "encoder.layers.{layer}."
_PROJECTOR = "model.multi_modal_projector."

MMPROJ_TENSORS = (
    TensorRule(
        _TOWER + "embeddings.patch_embedding.weight",
        "v.patch_embd.weight",
        ("width", "pixels"),
        Layout.PATCHES,
    ),
    TensorRule(_TOWER + "embeddings.patch_embedding.bias", "v.patch_embd.bias", ("width",)),
    TensorRule(_TOWER + "embeddings.position_embedding.weight", "v.position_embd.weight", ("positions", "width")),
    TensorRule(_LAYER + "layer_norm1.weight", "v.blk.{layer}.ln1.weight", ("width",)),
    TensorRule(_LAYER + "layer_norm1.bias", "v.blk.{layer}.ln1.bias", ("width",)),
    TensorRule(_LAYER + "self_attn.q_proj.weight", "v.blk.{layer}.attn_q.weight", ("width", "width")),
    TensorRule(_LAYER + "self_attn.q_proj.bias", "v.blk.{layer}.attn_q.bias", ("width",)),
    TensorRule(_LAYER + "self_attn.k_proj.weight", "v.blk.{layer}.attn_k.weight", ("width", "width")),
    TensorRule(_LAYER + "self_attn.k_proj.bias", "v.blk.{layer}.attn_k.bias", ("width",)),
    TensorRule(_LAYER + "self_attn.v_proj.weight", "v.blk.{layer}.attn_v.weight", ("width", "width")),
    TensorRule(_LAYER + "self_attn.v_proj.bias", "v.blk.{layer}.attn_v.bias", ("width",)),
    TensorRule(_LAYER + "self_attn.out_proj.weight", "v.blk.{layer}.attn_out.weight", ("width", "width")),
    TensorRule(_LAYER + "self_attn.out_proj.bias", "v.blk.{layer}.attn_out.bias", ("width",)),
    TensorRule(_LAYER + "layer_norm2.weight", "v.blk.{layer}.ln2.weight", ("width",)),
    TensorRule(_LAYER + "layer_norm2.bias", "v.blk.{layer}.ln2.bias", ("width",)),
    TensorRule(_LAYER + "mlp.fc1.weight", "v.blk.{layer}.ffn_up.weight", ("feed_forward", "width")),
    TensorRule(_LAYER + "mlp.fc1.bias", "v.blk.{layer}.ffn_up.bias", ("feed_forward",)),
    TensorRule(_LAYER + "mlp.fc2.weight", "v.blk.{layer}.ffn_down.weight", ("width", "feed_forward")),
    TensorRule(_LAYER + "mlp.fc2.bias", "v.blk.{layer}.ffn_down.bias", ("width",)),
    TensorRule(_TOWER + "post_layernorm.weight", "v.post_ln.weight", ("width",)),
    TensorRule(_TOWER + "post_layernorm.bias", "v.post_ln.bias", ("width",)),
    TensorRule(_PROJECTOR + "layer_norm.weight", "mm.input_norm.weight", ("unshuffled",), when="projector_norm"),
    TensorRule(_PROJECTOR + "layer_norm.bias", "mm.input_norm.bias", ("unshuffled",), when="projector_norm"),
    TensorRule(_PROJECTOR + "linear_1.weight", "mm.1.weight", ("projector_width", "unshuffled")),
    TensorRule(_PROJECTOR + "linear_1.bias", "mm.1.bias", ("projector_width",)),
    TensorRule(_PROJECTOR + "linear_2.weight", "mm.2.weight", ("text_width", "projector_width")),
    TensorRule(_PROJECTOR + "linear_2.bias", "mm.2.bias", ("text_width",)),
)

MMPROJ_DROPPED = (
    Dropped(_TOWER + "head.", "the pooling head of SigLIP2 serves image-text retrieval, no visual token sees it"),
)

KEEP_F32 = frozenset({"v.position_embd.weight"})
"""The runtime resizes the position table in F32 and in no other type."""
KEEP_F16 = frozenset({"v.patch_embd.weight"})
"""A convolution: its kernel has no rows that a block type could hold."""

MMPROJ_KEYS = (
    KeyRule("general.type", "string", "file_kind"),
    KeyRule("general.name", "string", "name"),
    KeyRule("general.file_type", "uint32", "file_type"),
    KeyRule("general.quantization_version", "uint32", "quantization_version"),
    KeyRule("clip.has_vision_encoder", "bool", "has_vision"),
    KeyRule("clip.projector_type", "string", "projector"),
    KeyRule("clip.use_gelu", "bool", "use_gelu"),
    KeyRule("clip.vision.image_size", "uint32", "image_size"),
    KeyRule("clip.vision.patch_size", "uint32", "patch"),
    KeyRule("clip.vision.embedding_length", "uint32", "width"),
    KeyRule("clip.vision.feed_forward_length", "uint32", "feed_forward"),
    KeyRule("clip.vision.block_count", "uint32", "layers"),
    KeyRule("clip.vision.projection_dim", "uint32", "text_width"),
    KeyRule("clip.vision.attention.head_count", "uint32", "heads"),
    KeyRule("clip.vision.attention.layer_norm_epsilon", "float32", "norm_eps"),
    KeyRule("clip.vision.projector.scale_factor", "uint32", "unshuffle"),
    KeyRule("clip.vision.image_mean", "float32[]", "mean"),
    KeyRule("clip.vision.image_std", "float32[]", "std"),
)


def mmproj_values(vision: VisionInfo, picture: PictureInfo, *, text_width: int, norm_eps: float) -> dict[str, object]:
    """The values of MMPROJ_KEYS that follow from the model; the file's own (name, types) are the writer's."""
    return {
        "has_vision": True,
        "projector": PROJECTOR,
        "use_gelu": True,
        "image_size": vision.positions * vision.patch,
        "patch": vision.patch,
        "width": vision.width,
        "feed_forward": vision.feed_forward,
        "layers": vision.layers,
        "text_width": text_width,
        "heads": vision.heads,
        "norm_eps": norm_eps,
        "unshuffle": vision.unshuffle,
        "mean": list(picture.mean),
        "std": list(picture.std),
    }


def mmproj_sizes(vision: VisionInfo, text_width: int) -> dict[str, int]:
    """The sizes that MMPROJ_TENSORS name."""
    return {
        "width": vision.width,
        "pixels": 3 * vision.patch**2,
        "positions": vision.positions**2,
        "feed_forward": vision.feed_forward,
        "unshuffled": vision.width * vision.unshuffle**2,
        "projector_width": vision.projector_width,
        "text_width": text_width,
    }


def mmproj_tensors(vision: VisionInfo, text_width: int, *, projector_norm: bool = True) -> list[Tensor]:
    """Every tensor of encoder and projector, in the order of the file."""
    switches = {"projector_norm"} if projector_norm else set()
    return expand(MMPROJ_TENSORS, mmproj_sizes(vision, text_width), vision.layers, switches)


def expand(
    rules: Iterable[TensorRule], sizes: Mapping[str, int], layers: int, switches: Iterable[str] = ()
) -> list[Tensor]:
    """Applies a table to a configuration; rules that name a layer are repeated layer by layer."""
    on = set(switches)
    live = [rule for rule in rules if rule.when is None or rule.when in on]
    first = next((i for i, rule in enumerate(live) if "{layer}" in rule.source), len(live))
    repeated = [rule for rule in live if "{layer}" in rule.source]
    once = [rule for rule in live if "{layer}" not in rule.source]
    tensors = [_apply(rule, sizes, None) for rule in once]
    body = [_apply(rule, sizes, layer) for layer in range(layers) for rule in repeated]
    return tensors[:first] + body + tensors[first:]


def _apply(rule: TensorRule, sizes: Mapping[str, int], layer: int | None) -> Tensor:
    shape = tuple(sizes[name] for name in rule.shape)
    if layer is None:
        return Tensor(rule.source, rule.target, shape, rule.layout)
    return Tensor(rule.source.format(layer=layer), rule.target.format(layer=layer), shape, rule.layout)
