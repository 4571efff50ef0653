"""The tensor table of Llama-architecture decoders: checkpoint name, GGUF name, shape, layout.

The GGUF names are those of gguf.get_tensor_name_map, written out so that the table reads in both directions;
a test compares them.
"""

from magicvl.convert.shapes import Decoder
from magicvl.mmproj.contract import Dropped, Layout, Tensor, TensorRule, expand

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
