"""The GGUF contract of `mmproj.gguf`: every metadata key and every tensor, each in one declarative table.

One table serves three graphs of llama.cpp, which names them by the projector that follows the encoder:

    lfm2      positions resized to the grid -> post norm -> unshuffle -> [norm] -> linear, GELU, linear
    idefics3  positions as they are         -> post norm -> unshuffle -> linear
    mlp       positions as they are         ->                           linear, GELU, linear

Keys and names are those that its tools/mtmd/clip.cpp reads. The table serves both directions: `convert` reads it
from left to right, `restore` from right to left. No torch and no gguf here, so that anything may import it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from magicvl.edge.bundle import PictureInfo, VisionInfo

ARCHITECTURE = "clip"
ACTIVATION = "gelu_pytorch_tanh"
"""The one activation that the runtime's graph computes, in encoder and projector."""


class Layout(Enum):
    """How the numbers of a tensor are arranged on the two sides."""

    SAME = "same"
    PATCHES = "patches"
    """Checkpoint (out, patch * patch * 3), channel fastest; GGUF (out, 3, patch, patch), as a convolution."""
    ROTARY_HEADS = "rotary_heads"
    """Rows of each query head: halves in the checkpoint, interleaved pairs in GGUF."""
    ROTARY_KV_HEADS = "rotary_kv_heads"
    """The same for the heads of keys."""
    CONVOLUTION = "convolution"
    """Checkpoint (channels, 1, taps), a convolution of each channel alone; GGUF (channels, taps)."""


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
    projectors: tuple[str, ...] = ("lfm2", "idefics3", "mlp")
    """The graphs that have it."""


@dataclass(frozen=True)
class Projector:
    """What the runtime's graphs differ in."""

    resized_positions: bool
    """Whether the position table follows the grid of a tile; else every tile is of the table's own size."""
    post_norm: bool
    """Whether the encoder ends in a LayerNorm."""
    f32_patches: bool
    """Whether the patch convolution stays in F32, as the runtime's own converter writes it, and not in F16."""


PROJECTORS = {
    "lfm2": Projector(resized_positions=True, post_norm=True, f32_patches=False),
    "idefics3": Projector(resized_positions=False, post_norm=True, f32_patches=True),
    "mlp": Projector(resized_positions=False, post_norm=False, f32_patches=False),
}


@dataclass(frozen=True)
class VisionNames:
    """What a layout of checkpoints calls the tensors of encoder and projector, and how it stores three of them.

    The table speaks of `tower.encoder.layers.{layer}.self_attn.q_proj.weight` and `projector.linear_1.weight`, as
    transformers' SigLIP and LFM2-VL do; this makes the checkpoint's own names of them.
    """

    tower: str = "model.vision_tower."
    """Stands for `tower.`."""
    projector: str = "model.multi_modal_projector."
    """Stands for `projector.`."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Names that differ otherwise: the table's without `.weight` or `.bias`, and the own one, after the prefix.

    Such as `tower.encoder.layers.{layer}.layer_norm1`: `blocks.{layer}.ln1`.
    """
    plain: frozenset[str] = frozenset()
    """Names of the table, `.weight` and all, that the checkpoint has without the `.weight`."""
    flat_patches: bool = True
    """Whether the patch embedding is a linear layer over channel-last pixels, and not a convolution."""
    fused_attention: bool = False
    """Whether queries, keys and values are one layer, `self_attn.qkv_proj`."""
    batched_positions: bool = False
    """Whether the position table has a leading axis of length one."""

    def own(self, name: str) -> str:
        """The checkpoint's name for one of the table."""
        module, _, kind = name.rpartition(".")
        part, _, rest = module.partition(".")
        own = self.modules.get(module, rest)
        return f"{self.tower if part == 'tower' else self.projector}{own}" + ("" if name in self.plain else f".{kind}")


_TOWER = "tower."
_LAYER = _TOWER + "encoder.layers.{layer}."
_PROJECTOR = "projector."
_PATCHES = "tower.embeddings.patch_embedding.weight"
_POSITIONS = "tower.embeddings.position_embedding.weight"


def _pair(module: str, target: str, shape: tuple[str, ...], when: str | None = None) -> tuple[TensorRule, TensorRule]:
    """Weight and bias of a layer; a bias is as long as the weight has rows."""
    return (
        TensorRule(f"{module}.weight", f"{target}.weight", shape, when=when),
        TensorRule(f"{module}.bias", f"{target}.bias", shape[:1], when=when),
    )


MMPROJ_TENSORS = (
    TensorRule(_PATCHES, "v.patch_embd.weight", ("width", "pixels"), Layout.PATCHES, when="flat_patches"),
    TensorRule(_PATCHES, "v.patch_embd.weight", ("width", "channels", "patch", "patch"), when="conv_patches"),
    TensorRule(_TOWER + "embeddings.patch_embedding.bias", "v.patch_embd.bias", ("width",)),
    TensorRule(_POSITIONS, "v.position_embd.weight", ("positions", "width"), when="positions"),
    TensorRule(_POSITIONS, "v.position_embd.weight", ("one", "positions", "width"), when="batched_positions"),
    *_pair(_LAYER + "layer_norm1", "v.blk.{layer}.ln1", ("width",)),
    *_pair(_LAYER + "self_attn.q_proj", "v.blk.{layer}.attn_q", ("width", "width"), when="attention"),
    *_pair(_LAYER + "self_attn.k_proj", "v.blk.{layer}.attn_k", ("width", "width"), when="attention"),
    *_pair(_LAYER + "self_attn.v_proj", "v.blk.{layer}.attn_v", ("width", "width"), when="attention"),
    *_pair(_LAYER + "self_attn.qkv_proj", "v.blk.{layer}.attn_qkv", ("three_widths", "width"), when="fused_attention"),
    *_pair(_LAYER + "self_attn.out_proj", "v.blk.{layer}.attn_out", ("width", "width")),
    *_pair(_LAYER + "layer_norm2", "v.blk.{layer}.ln2", ("width",)),
    *_pair(_LAYER + "mlp.fc1", "v.blk.{layer}.ffn_up", ("feed_forward", "width")),
    *_pair(_LAYER + "mlp.fc2", "v.blk.{layer}.ffn_down", ("width", "feed_forward")),
    *_pair(_TOWER + "post_layernorm", "v.post_ln", ("width",), when="post_norm"),
    *_pair(_PROJECTOR + "layer_norm", "mm.input_norm", ("unshuffled",), when="projector_norm"),
    *_pair(_PROJECTOR + "linear_1", "mm.1", ("projector_width", "unshuffled"), when="lfm2"),
    *_pair(_PROJECTOR + "linear_2", "mm.2", ("text_width", "projector_width"), when="lfm2"),
    *_pair(_PROJECTOR + "linear_1", "mm.0", ("projector_width", "unshuffled"), when="mlp"),
    *_pair(_PROJECTOR + "linear_2", "mm.2", ("text_width", "projector_width"), when="mlp"),
    TensorRule(_PROJECTOR + "linear.weight", "mm.model.fc.weight", ("text_width", "unshuffled"), when="idefics3"),
)
"""Every tensor of every graph, under its canonical name."""

_KEPT = frozenset({"v.position_embd.weight", "v.patch_embd.weight"})


def is_kept(target: str) -> bool:
    """Whether a tensor stays F32 or F16 whatever the type of the file."""
    return target in _KEPT


def kept_type(target: str, projector: str) -> str | None:
    """The type that a tensor has in files of every type but F32; None where it goes with the file.

    The runtime resizes or adds the position table in F32 and in no other type; the patch embedding is a
    convolution, whose kernel has no rows that a block type could hold.
    """
    if not is_kept(target):
        return None
    return "F32" if target.startswith("v.position") or PROJECTORS[projector].f32_patches else "F16"


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
    KeyRule("clip.vision.projector.scale_factor", "uint32", "unshuffle", ("lfm2", "idefics3")),
    KeyRule("clip.vision.preproc_image_size", "uint32", "longest", ("idefics3",)),
    KeyRule("clip.vision.feature_layer", "int32[]", "feature_layers", ("mlp",)),
    KeyRule("clip.vision.image_mean", "float32[]", "mean"),
    KeyRule("clip.vision.image_std", "float32[]", "std"),
)


def mmproj_keys(vision: VisionInfo) -> list[KeyRule]:
    """The keys of the graph's file."""
    return [rule for rule in MMPROJ_KEYS if vision.projector in rule.projectors]


def mmproj_values(vision: VisionInfo, picture: PictureInfo, *, text_width: int, norm_eps: float) -> dict[str, object]:
    """The values of MMPROJ_KEYS that follow from the model; the file's own (name, types) are the writer's."""
    resized = PROJECTORS[vision.projector].resized_positions
    return {
        "has_vision": True,
        "projector": vision.projector,
        "use_gelu": True,
        # A tile may have a rest of pixels that the convolution leaves out.
        "image_size": vision.positions * vision.patch if resized else picture.tile,
        "patch": vision.patch,
        "width": vision.width,
        "feed_forward": vision.feed_forward,
        "layers": vision.layers,
        "text_width": text_width,
        "heads": vision.heads,
        "norm_eps": norm_eps,
        "unshuffle": vision.unshuffle,
        "longest": picture.longest or picture.tile,
        # Without it the graph would leave out the last of the layers.
        "feature_layers": [vision.layers],
        "mean": list(picture.mean),
        "std": list(picture.std),
    }


def mmproj_sizes(vision: VisionInfo, text_width: int) -> dict[str, int]:
    """The sizes that MMPROJ_TENSORS name."""
    return {
        "one": 1,
        "channels": 3,
        "patch": vision.patch,
        "width": vision.width,
        "three_widths": 3 * vision.width,
        "pixels": 3 * vision.patch**2,
        "positions": vision.positions**2,
        "feed_forward": vision.feed_forward,
        "unshuffled": vision.width * vision.unshuffle**2,
        "projector_width": vision.projector_width or 0,
        "text_width": text_width,
    }


def mmproj_tensors(
    vision: VisionInfo, text_width: int, *, projector_norm: bool = True, names: VisionNames | None = None
) -> list[Tensor]:
    """Every tensor of encoder and projector under the checkpoint's own names, in the order of the file."""
    names = names or VisionNames()
    switches = {
        "projector_norm": projector_norm and vision.projector == "lfm2",
        "post_norm": PROJECTORS[vision.projector].post_norm,
        "flat_patches": names.flat_patches,
        "conv_patches": not names.flat_patches,
        "attention": not names.fused_attention,
        "fused_attention": names.fused_attention,
        "positions": not names.batched_positions,
        "batched_positions": names.batched_positions,
        vision.projector: True,
    }
    rules = [replace(rule, source=names.own(rule.source)) for rule in MMPROJ_TENSORS]
    on = {name for name, state in switches.items() if state}
    return expand(rules, mmproj_sizes(vision, text_width), vision.layers, on)


def mmproj_dropped(vision: VisionInfo, names: VisionNames | None = None) -> list[Dropped]:
    """What encoder and projector may hold and the bundle leaves out."""
    names = names or VisionNames()
    unused = "no visual token sees it"
    dropped = [Dropped(f"{names.tower}head.", f"the pooling head of SigLIP serves image-text retrieval, {unused}")]
    if not PROJECTORS[vision.projector].post_norm:
        norm = names.own("tower.post_layernorm.weight").removesuffix("weight")
        dropped.append(Dropped(norm, f"the projector takes the layer before it, {unused}"))
    return dropped


def expand(
    rules: Iterable[TensorRule],
    sizes: Mapping[str, int],
    layers: int | Sequence[Iterable[str]],
    switches: Iterable[str] = (),
) -> list[Tensor]:
    """Applies a table to a configuration; rules that name a layer are repeated layer by layer.

    `layers` is how many there are, or what is on in each of them beside `switches`.
    """
    rules, on = list(rules), set(switches)
    own = [on | set(more) for more in ([()] * layers if isinstance(layers, int) else layers)]
    first = next((i for i, rule in enumerate(rules) if "{layer}" in rule.source), len(rules))
    repeated = [rule for rule in rules if "{layer}" in rule.source]
    body = [_apply(rule, sizes, layer) for layer, live in enumerate(own) for rule in repeated if _live(rule, live)]
    once = ([rule for rule in part if "{layer}" not in rule.source] for part in (rules[:first], rules[first:]))
    before, after = ([_apply(rule, sizes, None) for rule in part if _live(rule, on)] for part in once)
    return before + body + after


def _live(rule: TensorRule, on: set[str]) -> bool:
    return rule.when is None or rule.when in on


def _apply(rule: TensorRule, sizes: Mapping[str, int], layer: int | None) -> Tensor:
    shape = tuple(sizes[name] for name in rule.shape)
    if layer is None:
        return Tensor(rule.source, rule.target, shape, rule.layout)
    return Tensor(rule.source.format(layer=layer), rule.target.format(layer=layer), shape, rule.layout)
