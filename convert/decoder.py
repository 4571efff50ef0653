"""The tensor table of the decoders: canonical name, GGUF name, shape, layout; and what their configurations say.

One table serves the Llama family, Qwen2, Qwen3 and LFM2: each has the rows that its switches turn on, and LFM2 some
layers with attention and some with a short convolution in its place. The GGUF names are those of
gguf.get_tensor_name_map, written out so that the table reads in both directions; a test compares them.
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
    convolutions: frozenset[int] = frozenset()
    """The layers, counted from 0, that have a short convolution in place of attention."""
    taps: int = 0
    """Tokens that a convolution sees, its own among them; 0 where there is none."""

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
    hybrid: bool = False
    """Whether some layers have a short convolution in place of attention, and the last norm is called otherwise."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """What transformers calls modules of the table otherwise in this family, as DecoderNames has it."""
    pre: Mapping[str, str] = field(default_factory=dict)
    """The runtime's own name in this family of a pre-tokenizer that it knows by another one too."""


_HEAD = "lm_head.weight"
_ROTARY = "rotary_emb"
_LAYER = "layers.{layer}."
_LFM2 = {
    _LAYER + "input_layernorm": _LAYER + "operator_norm",
    _LAYER + "post_attention_layernorm": _LAYER + "ffn_norm",
    _LAYER + "self_attn.q_norm": _LAYER + "self_attn.q_layernorm",
    _LAYER + "self_attn.k_norm": _LAYER + "self_attn.k_layernorm",
    _LAYER + "self_attn.o_proj": _LAYER + "self_attn.out_proj",
    _LAYER + "mlp.gate_proj": _LAYER + "feed_forward.w1",
    _LAYER + "mlp.down_proj": _LAYER + "feed_forward.w2",
    _LAYER + "mlp.up_proj": _LAYER + "feed_forward.w3",
}

FAMILIES = {
    "llama": Family(interleaved=True, head_norms=False, output_bias=True, mlp_bias=True, square=False),
    "qwen2": Family(interleaved=False, head_norms=False, output_bias=False, mlp_bias=False, square=True),
    "qwen3": Family(interleaved=False, head_norms=True, output_bias=False, mlp_bias=False, square=False),
    "lfm2": Family(
        interleaved=False,
        head_norms=True,
        output_bias=False,
        mlp_bias=False,
        square=True,
        hybrid=True,
        modules=_LFM2,
        pre={"llama-bpe": "lfm2"},
    ),
}
"""The decoders that can be converted; the runtime's src/models/{llama,qwen2,qwen3,lfm2}.cpp."""

_ATTENTION = _LAYER + "self_attn."
_CONVOLUTION = _LAYER + "conv."
_MLP = _LAYER + "mlp."
_BLOCK = "blk.{layer}."

DECODER_TENSORS = (
    TensorRule("embed_tokens.weight", "token_embd.weight", ("vocabulary", "width")),
    TensorRule(_LAYER + "input_layernorm.weight", _BLOCK + "attn_norm.weight", ("width",)),
    TensorRule(
        _ATTENTION + "q_proj.weight", _BLOCK + "attn_q.weight", ("query", "width"), Layout.ROTARY_HEADS, "attention"
    ),
    TensorRule(
        _ATTENTION + "q_proj.bias", _BLOCK + "attn_q.bias", ("query",), Layout.ROTARY_HEADS, when="attention_bias"
    ),
    TensorRule(_ATTENTION + "q_norm.weight", _BLOCK + "attn_q_norm.weight", ("head_dim",), when="head_norms"),
    TensorRule(
        _ATTENTION + "k_proj.weight", _BLOCK + "attn_k.weight", ("key", "width"), Layout.ROTARY_KV_HEADS, "attention"
    ),
    TensorRule(
        _ATTENTION + "k_proj.bias", _BLOCK + "attn_k.bias", ("key",), Layout.ROTARY_KV_HEADS, when="attention_bias"
    ),
    TensorRule(_ATTENTION + "k_norm.weight", _BLOCK + "attn_k_norm.weight", ("head_dim",), when="head_norms"),
    TensorRule(_ATTENTION + "v_proj.weight", _BLOCK + "attn_v.weight", ("key", "width"), when="attention"),
    TensorRule(_ATTENTION + "v_proj.bias", _BLOCK + "attn_v.bias", ("key",), when="attention_bias"),
    TensorRule(_ATTENTION + "o_proj.weight", _BLOCK + "attn_output.weight", ("width", "query"), when="attention"),
    TensorRule(_ATTENTION + "o_proj.bias", _BLOCK + "attn_output.bias", ("width",), when="output_bias"),
    TensorRule(
        _CONVOLUTION + "conv.weight",
        _BLOCK + "shortconv.conv.weight",
        ("width", "one", "taps"),
        Layout.CONVOLUTION,
        when="convolution",
    ),
    TensorRule(
        _CONVOLUTION + "in_proj.weight",
        _BLOCK + "shortconv.in_proj.weight",
        ("three_widths", "width"),
        when="convolution",
    ),
    TensorRule(
        _CONVOLUTION + "out_proj.weight", _BLOCK + "shortconv.out_proj.weight", ("width", "width"), when="convolution"
    ),
    TensorRule(_LAYER + "post_attention_layernorm.weight", _BLOCK + "ffn_norm.weight", ("width",)),
    TensorRule(_MLP + "gate_proj.weight", _BLOCK + "ffn_gate.weight", ("feed_forward", "width")),
    TensorRule(_MLP + "gate_proj.bias", _BLOCK + "ffn_gate.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_MLP + "up_proj.weight", _BLOCK + "ffn_up.weight", ("feed_forward", "width")),
    TensorRule(_MLP + "up_proj.bias", _BLOCK + "ffn_up.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_MLP + "down_proj.weight", _BLOCK + "ffn_down.weight", ("width", "feed_forward")),
    TensorRule(_MLP + "down_proj.bias", _BLOCK + "ffn_down.bias", ("width",), when="mlp_bias"),
    TensorRule("norm.weight", "output_norm.weight", ("width",), when="norm"),
    TensorRule("embedding_norm.weight", "token_embd_norm.weight", ("width",), when="embedding_norm"),
    TensorRule(_HEAD, "output.weight", ("vocabulary", "width"), when="untied"),
)
"""Every tensor of every family, under its canonical name."""


def read_decoder(config: Reader, *, tied: bool, names: DecoderNames | None = None) -> Decoder:
    """Reads a decoder's own configuration, as transformers' LlamaConfig, Qwen2Config, Qwen3Config, Lfm2Config write it.

    `config` is that object (a vision model's `text_config`); `tied` stands elsewhere in most layouts. Problems go
    to the reader: what the runtime's graph cannot compute, what is missing, what is no number.
    """
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    architecture = _architecture(config)
    hybrid = FAMILIES[architecture].hybrid
    layers = config.whole("num_hidden_layers")
    names = names or DecoderNames()
    decoder = Decoder(
        architecture=architecture,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=config.whole("num_key_value_heads", heads),
        head_dim=config.whole("head_dim", max(1, width // heads)),
        feed_forward=_lfm2_feed_forward(config) if hybrid else config.whole("intermediate_size"),
        vocabulary=config.whole("vocab_size"),
        context=config.whole("max_position_embeddings"),
        rope_theta=_rope_theta(config, 1000000.0 if hybrid else 10000.0),
        norm_eps=config.real("norm_eps", 1e-5) if hybrid else config.real("rms_norm_eps", 1e-6),
        tied=tied,
        attention_bias=_attention_bias(config),
        mlp_bias=bool(config.data.get("mlp_bias", False)),
        output_bias=config.data.get("model_type") != "qwen2" and bool(config.data.get("attention_bias", False)),
        names=replace(names, modules={**FAMILIES[architecture].modules, **names.modules}),
        convolutions=_convolutions(config, layers) if hybrid else frozenset(),
        taps=config.whole("conv_L_cache", 3) if hybrid else 0,
    )
    _check_graph(config, decoder)
    return decoder


def _architecture(config: Reader) -> str:
    found = config.data.get("model_type")
    if not isinstance(found, str) or found not in FAMILIES:
        known = ", ".join(FAMILIES)
        config.problems.append(f"{config.name}: model_type is {found!r}; decoders of {known} can be converted")
        return "llama"
    return found


def _attention_bias(config: Reader) -> bool:
    # Qwen2's queries, keys and values have a bias in every checkpoint, and its configuration does not say so.
    return config.data.get("model_type") == "qwen2" or bool(config.data.get("attention_bias", False))


def _check_graph(config: Reader, decoder: Decoder) -> None:
    """Notes what the runtime's graph of the family cannot compute."""
    family, problems = FAMILIES[decoder.architecture], config.problems
    config.demand("hidden_act", "silu", "silu")
    config.demand("use_sliding_window", False, False)
    wanted = {"full_attention", "conv"} if family.hybrid else {"full_attention"}
    if kinds := set(config.data.get("layer_types") or ()) - wanted:
        problems.append(
            f"{config.name}: layers of {', '.join(map(repr, sorted(kinds)))}, "
            f"{' or '.join(map(repr, sorted(wanted, reverse=True)))} is due"
        )
    if family.hybrid:
        config.demand("conv_bias", False, False)
        if decoder.taps < 2:
            problems.append(f"{config.name}: conv_L_cache is {decoder.taps}, the runtime computes 2 or more")
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


def _lfm2_feed_forward(config: Reader) -> int:
    """LFM2 takes two thirds of what its configuration says, times a factor, up to a multiple."""
    width = config.whole("block_ff_dim" if "block_ff_dim" in config.data else "intermediate_size")
    if not config.data.get("block_auto_adjust_ff_dim", True):
        return width
    width = int(config.real("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
    multiple = config.whole("block_multiple_of", 256)
    return -(-width // multiple) * multiple


def _convolutions(config: Reader, layers: int) -> frozenset[int]:
    """The layers without attention: by `layer_types`, or where that is missing all that `full_attn_idxs` leaves out."""
    kinds = config.data.get("layer_types")
    attention = config.data.get("full_attn_idxs")
    if kinds is None and (attention is None or isinstance(attention, list)):
        kinds = ["full_attention" if attention is None or i in attention else "conv" for i in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers:
        config.problems.append(f"{config.name}: layer_types is {kinds!r}, a list of {layers} kinds is due")
        return frozenset()
    return frozenset(i for i, kind in enumerate(kinds) if kind == "conv")


def _rope_theta(config: Reader, default: float) -> float:
    """transformers 5 writes `rope_parameters`, older versions `rope_theta` and `rope_scaling`."""
    found = config.data.get("rope_parameters") or config.data.get("rope_scaling") or {}
    rope = Reader(f"{config.name}: rope_parameters", found, config.problems).data
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        config.problems.append(f"{config.name}: rope type {kind!r}, 'default' can be converted")
    theta = {"rope_theta": config.data.get("rope_theta", default), **rope}
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
        "one": 1,
        "three_widths": 3 * decoder.width,
        "taps": decoder.taps,
    }


def decoder_tensors(decoder: Decoder) -> list[Tensor]:
    """Every tensor of the half under the checkpoint's own names, in the order of the file."""
    rules = [_rule(decoder, rule) for rule in DECODER_TENSORS]
    return expand(rules, decoder_sizes(decoder), _layers(decoder), _switches(decoder))


def decoder_dropped(decoder: Decoder) -> list[Dropped]:
    """What the half may hold under the checkpoint's own names and leaves out."""
    places = [_ROTARY, *(f"layers.{layer}.self_attn.{_ROTARY}" for layer in range(decoder.layers))]
    dropped = [Dropped(decoder.names.own(f"{place}.inv_freq"), "follows from the rope base") for place in places]
    if decoder.tied:
        dropped.append(Dropped(decoder.names.head, "tied: the output head is the embedding table"))
    return dropped


def _rule(decoder: Decoder, rule: TensorRule) -> TensorRule:
    rotary = rule.layout in (Layout.ROTARY_HEADS, Layout.ROTARY_KV_HEADS)
    layout = Layout.SAME if rotary and not FAMILIES[decoder.architecture].interleaved else rule.layout
    return replace(rule, source=decoder.names.own(rule.source), layout=layout)


def _layers(decoder: Decoder) -> list[set[str]]:
    """What is on in each layer alone."""
    attention = {
        name
        for name, on in {
            "attention": True,
            "attention_bias": decoder.attention_bias,
            "output_bias": decoder.output_bias,
            "head_norms": FAMILIES[decoder.architecture].head_norms,
        }.items()
        if on
    }
    return [{"convolution"} if i in decoder.convolutions else attention for i in range(decoder.layers)]


def _switches(decoder: Decoder) -> set[str]:
    hybrid = FAMILIES[decoder.architecture].hybrid
    states = {
        "tied": decoder.tied,
        "untied": not decoder.tied,
        "mlp_bias": decoder.mlp_bias,
        "norm": not hybrid,
        "embedding_norm": hybrid,
    }
    return {name for name, on in states.items() if on}
