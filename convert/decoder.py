"""The tensor table of Llama-architecture decoders: checkpoint name, GGUF name, shape, layout.

The GGUF names are those of gguf.get_tensor_name_map, written out so that the table reads in both directions;
a test compares them.
"""

from dataclasses import dataclass

from magicvl.convert.reader import Reader
from magicvl.edge.bundle import LanguageInfo
from magicvl.mmproj.contract import Dropped, Layout, Tensor, TensorRule, expand


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


_MODEL = "model.language_model."
_LAYER = _MODEL + "layers.{layer}."

LLAMA_TENSORS = (
    TensorRule(_MODEL + "embed_tokens.weight", "token_embd.weight", ("vocabulary", "width")),
    TensorRule(_LAYER + "input_layernorm.weight", "blk.{layer}.attn_norm.weight", ("width",)),
    TensorRule(
        _LAYER + "self_attn.q_proj.weight",
        "blk.{layer}.attn_q.weight",
        ("query", "width"),
        Layout.ROTARY_HEADS,
    ),
    TensorRule(
        _LAYER + "self_attn.q_proj.bias",
        "blk.{layer}.attn_q.bias",
        ("query",),
        Layout.ROTARY_HEADS,
        when="attention_bias",
    ),
    TensorRule(
        _LAYER + "self_attn.k_proj.weight",
        "blk.{layer}.attn_k.weight",
        ("key", "width"),
        Layout.ROTARY_KV_HEADS,
    ),
    TensorRule(
        _LAYER + "self_attn.k_proj.bias",
        "blk.{layer}.attn_k.bias",
        ("key",),
        Layout.ROTARY_KV_HEADS,
        when="attention_bias",
    ),
    TensorRule(_LAYER + "self_attn.v_proj.weight", "blk.{layer}.attn_v.weight", ("key", "width")),
    TensorRule(_LAYER + "self_attn.v_proj.bias", "blk.{layer}.attn_v.bias", ("key",), when="attention_bias"),
    TensorRule(_LAYER + "self_attn.o_proj.weight", "blk.{layer}.attn_output.weight", ("width", "query")),
    TensorRule(_LAYER + "self_attn.o_proj.bias", "blk.{layer}.attn_output.bias", ("width",), when="attention_bias"),
    TensorRule(_LAYER + "post_attention_layernorm.weight", "blk.{layer}.ffn_norm.weight", ("width",)),
    TensorRule(_LAYER + "mlp.gate_proj.weight", "blk.{layer}.ffn_gate.weight", ("feed_forward", "width")),
    TensorRule(_LAYER + "mlp.gate_proj.bias", "blk.{layer}.ffn_gate.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_LAYER + "mlp.up_proj.weight", "blk.{layer}.ffn_up.weight", ("feed_forward", "width")),
    TensorRule(_LAYER + "mlp.up_proj.bias", "blk.{layer}.ffn_up.bias", ("feed_forward",), when="mlp_bias"),
    TensorRule(_LAYER + "mlp.down_proj.weight", "blk.{layer}.ffn_down.weight", ("width", "feed_forward")),
    TensorRule(_LAYER + "mlp.down_proj.bias", "blk.{layer}.ffn_down.bias", ("width",), when="mlp_bias"),
    TensorRule(_MODEL + "norm.weight", "output_norm.weight", ("width",)),
    TensorRule("lm_head.weight", "output.weight", ("vocabulary", "width"), when="untied"),
)

LLAMA_DROPPED = (
    Dropped("lm_head.weight", "tied: the output head is the embedding table", when="tied"),
    Dropped(_MODEL + "rotary_emb.inv_freq", "follows from the rope base"),
)


def read_decoder(config: Reader) -> Decoder:
    """Reads `text_config`; problems go to the reader."""
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


def _rope_theta(text: Reader) -> float:
    """transformers 5 writes `rope_parameters`, older versions `rope_theta` and `rope_scaling`."""
    rope = text.data.get("rope_parameters") or text.data.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        text.problems.append(f"{text.name}: rope type {kind!r}, 'default' can be converted")
    theta = {"rope_theta": text.data.get("rope_theta", 10000.0)} | rope
    return Reader(text.name, theta, text.problems).real("rope_theta")


def decoder_sizes(decoder: Decoder) -> dict[str, int]:
    """The sizes that LLAMA_TENSORS name, and those that its layouts need."""
    return {
        "vocabulary": decoder.vocabulary,
        "width": decoder.width,
        "query": decoder.heads * decoder.head_dim,
        "key": decoder.kv_heads * decoder.head_dim,
        "feed_forward": decoder.feed_forward,
        "heads": decoder.heads,
        "kv_heads": decoder.kv_heads,
    }


def decoder_tensors(decoder: Decoder) -> list[Tensor]:
    """Every tensor of the half, in the order of the file."""
    return expand(LLAMA_TENSORS, decoder_sizes(decoder), decoder.layers, _switches(decoder))


def decoder_dropped(decoder: Decoder) -> list[Dropped]:
    """What the half may hold and leaves out."""
    on = _switches(decoder)
    return [rule for rule in LLAMA_DROPPED if rule.when is None or rule.when in on]


def _switches(decoder: Decoder) -> set[str]:
    states = {
        "tied": decoder.tied,
        "untied": not decoder.tied,
        "attention_bias": decoder.attention_bias,
        "mlp_bias": decoder.mlp_bias,
    }
    return {name for name, on in states.items() if on}
