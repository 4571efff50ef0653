"""The tensor table of the decoders: canonical name, GGUF name, shape, layout; and what their configurations say.

One table serves the Llama family, Qwen2 and Qwen3: each has the rows that its switches turn on. The GGUF names are
those of gguf.get_tensor_name_map, written out so that the table reads in both directions; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from magicvl.convert.reader import Reader
from magicvl.edge.bundle import LanguageInfo
from magicvl.mmproj.contract import Dropped, Layout, Tensor, TensorRule, expand


@dataclass(frozen=True)
class DecoderNames:
    """What a layout of checkpoints calls the tensors of its decoder.

    The table speaks of `embed_tokens.weight`, `layers.{layer}.self_attn.q_proj.weight`, ..., `norm.weight` and
    `lm_head.weight`; this makes the checkpoint's own names of them.
    """

    prefix: str = "model.language_model."
    """Stands before every name but the head's."""
    head: str = "lm_head.weight"
    """The whole name of the output head."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Modules that are called otherwise: the table's name without `.weight`, and the own one, both after the prefix.

    Such as `layers.{layer}.self_attn.o_proj`: `blocks.{layer}.attn.out_proj`.
    """

    def __post_init__(self) -> None:
        """Raises ValueError for a module that the table does not know, which would have no effect."""
        known = {rule.source.rpartition(".")[0] for rule in DECODER_TENSORS} | {_ROTARY}
        if unknown := sorted(set(self.modules) - known):
            raise ValueError(f"no modules of a decoder: {unknown}; there are {sorted(known)}")

    def own(self, name: str) -> str:
        """The checkpoint's name for one of the table."""
        if name == _HEAD:
            return self.head
        module, _, kind = name.rpartition(".")
        return f"{self.prefix}{self.modules.get(module, module)}.{kind}"


@dataclass(frozen=True)
class Decoder:
    """Shape of a decoder, and what its checkpoint calls the tensors."""

    architecture: str
    """llama.cpp's name of it, a key of FAMILIES."""
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
    """Whether queries, keys and values have a bias."""
    mlp_bias: bool
    output_bias: bool = False
    """Whether the attention's output projection has a bias."""
    names: DecoderNames = field(default_factory=DecoderNames)

    @property
    def info(self) -> LanguageInfo:
        """The part that the lock holds."""
        return LanguageInfo(self.architecture, self.width, self.layers, self.vocabulary, self.context)


@dataclass(frozen=True)
class Family:
    """What the graphs of the runtime differ in; its own name of one is also transformers' model_type."""

    interleaved: bool
    """Whether the runtime rotates neighbouring rows of a head, so that rows change places; else it rotates halves."""
    head_norms: bool
    """Whether queries and keys of each head are normalised."""
    output_bias: bool
    """Whether the graph adds a bias after the attention's output projection."""
    mlp_bias: bool
    square: bool
    """Whether all query heads together must be as wide as the model."""


FAMILIES = {
    "llama": Family(interleaved=True, head_norms=False, output_bias=True, mlp_bias=True, square=False),
    "qwen2": Family(interleaved=False, head_norms=False, output_bias=False, mlp_bias=False, square=True),
    "qwen3": Family(interleaved=False, head_norms=True, output_bias=False, mlp_bias=False, square=False),
}
"""The decoders that can be converted; the runtime's src/models/{llama,qwen2,qwen3}.cpp."""

_HEAD = "lm_head.weight"
_ROTARY = "rotary_emb"
_LAYER = "layers.{layer}."
_ATTENTION = _LAYER + "self_attn."
_MLP = _LAYER + "mlp."
_BLOCK = "blk.{layer}."

DECODER_TENSORS = (
    TensorRule("embed_tokens.weight", "token_embd.weight", ("vocabulary", "width")),
    TensorRule(_LAYER + "input_layernorm.weight", _BLOCK + "attn_norm.weight", ("width",)),
    TensorRule(_ATTENTION + "q_proj.weight", _BLOCK + "attn_q.weight", ("query", "width"), Layout.ROTARY_HEADS),
    TensorRule(
        _ATTENTION + "q_proj.bias", _BLOCK + "attn_q.bias", ("query",), Layout.ROTARY_HEADS, when="attention_bias"
    ),
    TensorRule(_ATTENTION + "q_norm.weight", _BLOCK + "attn_q_norm.weight", ("head_dim",), when="head_norms"),
    TensorRule(_ATTENTION + "k_proj.weight", _BLOCK + "attn_k.weight", ("key", "width"), Layout.ROTARY_KV_HEADS),
    TensorRule(
        _ATTENTION + "k_proj.bias", _BLOCK + "attn_k.bias", ("key",), Layout.ROTARY_KV_HEADS, when="attention_bias"
    ),
    TensorRule(_ATTENTION + "k_norm.weight", _BLOCK + "attn_k_norm.weight", ("head_dim",), when="head_norms"),
    TensorRule(_ATTENTION + "v_proj.weight", _BLOCK + "attn_v.weight", ("key", "width")),
    TensorRule(_ATTENTION + "v_proj.bias", _BLOCK + "attn_v.bias", ("key",), when="attention_bias"),
    TensorRule(_ATTENTION + "o_proj.weight", _BLOCK + "attn_output.weight", ("width", "query")),
    TensorRule(_ATTENTION + "o_proj.bias", _BLOCK + "attn_output.bias", ("width",), when="output_bias"),
    TensorRule(_LAYER + "post_attention_layernorm.weight", _BLOCK + "ffn_norm.weight", ("width",)),
    TensorRule(_MLP + "gate_proj.weight", _BLOCK + "ffn_gate.weight", ("feed_forward", "width")),
    TensorRule(_MLP + "gate_proj.bias", _BLOCK + "ffn_gate.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_MLP + "up_proj.weight", _BLOCK + "ffn_up.weight", ("feed_forward", "width")),
    TensorRule(_MLP + "up_proj.bias", _BLOCK + "ffn_up.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_MLP + "down_proj.weight", _BLOCK + "ffn_down.weight", ("width", "feed_forward")),
    TensorRule(_MLP + "down_proj.bias", _BLOCK + "ffn_down.bias", ("width",), when="mlp_bias"),
    TensorRule("norm.weight", "output_norm.weight", ("width",)),
    TensorRule(_HEAD, "output.weight", ("vocabulary", "width"), when="untied"),
)
"""Every tensor of every family, under its canonical name."""


def read_decoder(config: Reader, *, tied: bool, names: DecoderNames | None = None) -> Decoder:
    """Reads a decoder's own configuration, as transformers' LlamaConfig, Qwen2Config or Qwen3Config write it.

    `config` is that object (a vision model's `text_config`); `tied` stands elsewhere in most layouts. Problems go
    to the reader: what the runtime's graph cannot compute, what is missing, what is no number.
    """
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    decoder = Decoder(
        architecture=_architecture(config),
        width=width,
        layers=config.whole("num_hidden_layers"),
        heads=heads,
        kv_heads=config.whole("num_key_value_heads", heads),
        head_dim=config.whole("head_dim", max(1, width // heads)),
        feed_forward=config.whole("intermediate_size"),
        vocabulary=config.whole("vocab_size"),
        context=config.whole("max_position_embeddings"),
        rope_theta=_rope_theta(config),
        norm_eps=config.real("rms_norm_eps", 1e-6),
        tied=tied,
        attention_bias=_attention_bias(config),
        mlp_bias=bool(config.data.get("mlp_bias", False)),
        output_bias=config.data.get("model_type") != "qwen2" and bool(config.data.get("attention_bias", False)),
        names=names or DecoderNames(),
    )
    _check_graph(config, decoder)
    return decoder


def _architecture(config: Reader) -> str:
    found = config.data.get("model_type")
    if found not in FAMILIES:
        known = ", ".join(FAMILIES)
        config.problems.append(f"{config.name}: model_type is {found!r}; decoders of {known} can be converted")
        return "llama"
    return str(found)


def _attention_bias(config: Reader) -> bool:
    # Qwen2's queries, keys and values have a bias in every checkpoint, and its configuration does not say so.
    return config.data.get("model_type") == "qwen2" or bool(config.data.get("attention_bias", False))


def _check_graph(config: Reader, decoder: Decoder) -> None:
    """Notes what the runtime's graph of the family cannot compute."""
    family, problems = FAMILIES[decoder.architecture], config.problems
    config.demand("hidden_act", "silu", "silu")
    config.demand("use_sliding_window", False, False)
    kinds = set(config.data.get("layer_types") or ()) - {"full_attention"}
    if kinds:
        problems.append(f"{config.name}: layers of {', '.join(map(repr, sorted(kinds)))}, 'full_attention' is due")
    if decoder.heads % decoder.kv_heads:
        problems.append(f"{config.name}: {decoder.heads} heads cannot share {decoder.kv_heads} key-value heads")
    if decoder.head_dim % 2:
        problems.append(f"{config.name}: head_dim is {decoder.head_dim}, an even number is due")
    if family.square and decoder.heads * decoder.head_dim != decoder.width:
        problems.append(
            f"{config.name}: {decoder.heads} heads of {decoder.head_dim} are not hidden_size {decoder.width}, "
            f"which the runtime's {decoder.architecture} needs"
        )
    for name, on, known in (
        ("attention_bias", decoder.output_bias, family.output_bias),
        ("mlp_bias", decoder.mlp_bias, family.mlp_bias),
    ):
        if on and not known:
            problems.append(f"{config.name}: {name} is true, the runtime's {decoder.architecture} has no such bias")


def _rope_theta(config: Reader) -> float:
    """transformers 5 writes `rope_parameters`, older versions `rope_theta` and `rope_scaling`."""
    rope = config.data.get("rope_parameters") or config.data.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        config.problems.append(f"{config.name}: rope type {kind!r}, 'default' can be converted")
    theta = {"rope_theta": config.data.get("rope_theta", 10000.0)} | rope
    return Reader(config.name, theta, config.problems).real("rope_theta")


def decoder_sizes(decoder: Decoder) -> dict[str, int]:
    """The sizes that DECODER_TENSORS name, and those that its layouts need."""
    return {
        "vocabulary": decoder.vocabulary,
        "width": decoder.width,
        "query": decoder.heads * decoder.head_dim,
        "key": decoder.kv_heads * decoder.head_dim,
        "head_dim": decoder.head_dim,
        "feed_forward": decoder.feed_forward,
        "heads": decoder.heads,
        "kv_heads": decoder.kv_heads,
    }


def decoder_tensors(decoder: Decoder) -> list[Tensor]:
    """Every tensor of the half under the checkpoint's own names, in the order of the file."""
    rules = [_rule(decoder, rule) for rule in DECODER_TENSORS]
    return expand(rules, decoder_sizes(decoder), decoder.layers, _switches(decoder))


def decoder_dropped(decoder: Decoder) -> list[Dropped]:
    """What the half may hold under the checkpoint's own names and leaves out."""
    places = [_ROTARY, *(f"layers.{layer}.self_attn.{_ROTARY}" for layer in range(decoder.layers))]
    dropped = [Dropped(decoder.names.own(f"{place}.inv_freq"), "follows from the rope base") for place in places]
    if decoder.tied:
        dropped.append(Dropped(decoder.names.head, "tied: the output head is the embedding table"))
    return dropped


def _rule(decoder: Decoder, rule: TensorRule) -> TensorRule:
    layout = rule.layout if FAMILIES[decoder.architecture].interleaved else Layout.SAME
    return replace(rule, source=decoder.names.own(rule.source), layout=layout)


def _switches(decoder: Decoder) -> set[str]:
    states = {
        "tied": decoder.tied,
        "untied": not decoder.tied,
        "attention_bias": decoder.attention_bias,
        "output_bias": decoder.output_bias,
        "mlp_bias": decoder.mlp_bias,
        "head_norms": FAMILIES[decoder.architecture].head_norms,
    }
    return {name for name, on in states.items() if on}
