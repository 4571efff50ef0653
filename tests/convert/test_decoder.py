"""The decoder: gguf's names, torch's names and shapes, layouts with names of their own, what is refused."""

from typing import Any

import gguf
import pytest
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from magicvl.convert.decoder import (
    DECODER_TENSORS,
    FAMILIES,
    Decoder,
    DecoderNames,
    decoder_dropped,
    decoder_tensors,
    read_decoder,
)
from magicvl.convert.reader import Reader
from magicvl.mmproj.contract import Layout

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "vocab_size": 50,
    "tie_word_embeddings": False,
}


def read(config: dict[str, Any], *, tied: bool = False, names: DecoderNames | None = None) -> tuple[Decoder, list[str]]:
    problems: list[str] = []
    return read_decoder(Reader("text_config", config, problems), tied=tied, names=names), problems


@pytest.mark.parametrize("architecture", FAMILIES)
def test_names_are_those_of_gguf(architecture: str) -> None:
    kind = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(kind, 2)
    decoder, problems = read({**SHAPE, "model_type": architecture, "max_position_embeddings": 128})
    assert not problems
    tensors = decoder_tensors(decoder)
    assert len({tensor.target for tensor in tensors}) == len({tensor.source for tensor in tensors}) == len(tensors)
    for tensor in tensors:
        source = tensor.source.replace("model.language_model.", "model.")
        assert names.get_name(source, try_suffixes=(".weight", ".bias")) == tensor.target


@pytest.mark.parametrize("rule", DECODER_TENSORS, ids=lambda rule: rule.target)
def test_every_rule_is_named_as_in_gguf(rule: Any) -> None:
    source = rule.source.format(layer=1)
    source = source if source.startswith("lm_head") else f"model.{source}"
    names = (gguf.get_tensor_name_map(gguf.MODEL_ARCH[kind.upper()], 2) for kind in FAMILIES)
    found = {name.get_name(source, try_suffixes=(".weight", ".bias")) for name in names} - {None}
    assert found == {rule.target.format(layer=1)}


@pytest.mark.parametrize(
    ("architecture", "more"),
    [
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("qwen3", {"head_dim": 32}),
        ("lfm2", {"layer_types": ["conv", "full_attention"], "conv_L_cache": 4}),
        ("lfm2", {"full_attn_idxs": [0], "intermediate_size": 384, "block_multiple_of": 10}),
        ("lfm2", {"layer_types": ["conv", "conv"], "block_ffn_dim_multiplier": 1.3, "block_multiple_of": 7}),
        ("lfm2", {"block_auto_adjust_ff_dim": False}),
    ],
)
def test_the_table_is_the_models_state(architecture: str, more: dict[str, Any]) -> None:
    shape = SHAPE if architecture != "lfm2" else {key: value for key, value in SHAPE.items() if key != "head_dim"}
    config = CONFIG_MAPPING[architecture](**(shape | more))
    state = AutoModelForCausalLM.from_config(config).state_dict()
    decoder, problems = read(config.to_dict(), names=DecoderNames(prefix="model."))
    assert not problems
    assert {tensor.source: tensor.shape for tensor in decoder_tensors(decoder)} == {
        name: tuple(weight.shape) for name, weight in state.items()
    }
    rotary = (Layout.ROTARY_HEADS, Layout.ROTARY_KV_HEADS)
    moved = {tensor.target for tensor in decoder_tensors(decoder) if tensor.layout in rotary}
    assert bool(moved) == (architecture == "llama")


def test_a_hybrid_has_attention_or_a_convolution_in_each_layer() -> None:
    config = {**SHAPE, "model_type": "lfm2", "max_position_embeddings": 128, "full_attn_idxs": [1]}
    decoder, problems = read(config)
    assert not problems and decoder.convolutions == {0} and (decoder.taps, decoder.rope_theta) == (3, 1e6)
    found = [
        (tensor.target, tensor.source.removeprefix("model.language_model.")) for tensor in decoder_tensors(decoder)
    ]
    assert found == [
        ("token_embd.weight", "embed_tokens.weight"),
        ("blk.0.attn_norm.weight", "layers.0.operator_norm.weight"),
        ("blk.0.shortconv.conv.weight", "layers.0.conv.conv.weight"),
        ("blk.0.shortconv.in_proj.weight", "layers.0.conv.in_proj.weight"),
        ("blk.0.shortconv.out_proj.weight", "layers.0.conv.out_proj.weight"),
        ("blk.0.ffn_norm.weight", "layers.0.ffn_norm.weight"),
        ("blk.0.ffn_gate.weight", "layers.0.feed_forward.w1.weight"),
        ("blk.0.ffn_up.weight", "layers.0.feed_forward.w3.weight"),
        ("blk.0.ffn_down.weight", "layers.0.feed_forward.w2.weight"),
        ("blk.1.attn_norm.weight", "layers.1.operator_norm.weight"),
        ("blk.1.attn_q.weight", "layers.1.self_attn.q_proj.weight"),
        ("blk.1.attn_q_norm.weight", "layers.1.self_attn.q_layernorm.weight"),
        ("blk.1.attn_k.weight", "layers.1.self_attn.k_proj.weight"),
        ("blk.1.attn_k_norm.weight", "layers.1.self_attn.k_layernorm.weight"),
        ("blk.1.attn_v.weight", "layers.1.self_attn.v_proj.weight"),
        ("blk.1.attn_output.weight", "layers.1.self_attn.out_proj.weight"),
        ("blk.1.ffn_norm.weight", "layers.1.ffn_norm.weight"),
        ("blk.1.ffn_gate.weight", "layers.1.feed_forward.w1.weight"),
        ("blk.1.ffn_up.weight", "layers.1.feed_forward.w3.weight"),
        ("blk.1.ffn_down.weight", "layers.1.feed_forward.w2.weight"),
        ("token_embd_norm.weight", "embedding_norm.weight"),
        ("output.weight", "lm_head.weight"),
    ]


def test_a_layout_with_names_of_its_own() -> None:
    names = DecoderNames(
        prefix="decoder.",
        head="decoder.head.weight",
        modules={
            "embed_tokens": "token_embedding",
            "layers.{layer}.self_attn.o_proj": "blocks.{layer}.attn.out_proj",
            "rotary_emb": "rotary_embd",
        },
    )
    decoder, _ = read({**SHAPE, "model_type": "llama", "max_position_embeddings": 128}, names=names)
    found = {tensor.target: tensor.source for tensor in decoder_tensors(decoder)}
    assert found["token_embd.weight"] == "decoder.token_embedding.weight"
    assert found["blk.1.attn_output.weight"] == "decoder.blocks.1.attn.out_proj.weight"
    assert found["blk.1.attn_q.weight"] == "decoder.layers.1.self_attn.q_proj.weight"
    assert found["output.weight"] == "decoder.head.weight"
    assert "decoder.rotary_embd.inv_freq" in {rule.prefix for rule in decoder_dropped(decoder)}
    tied, _ = read({**SHAPE, "model_type": "llama", "max_position_embeddings": 128}, tied=True, names=names)
    assert "output.weight" not in {tensor.target for tensor in decoder_tensors(tied)}
    assert "decoder.head.weight" in {rule.prefix for rule in decoder_dropped(tied)}
    with pytest.raises(ValueError, match=r"no modules of a decoder.*o_prj"):
        DecoderNames(modules={"layers.{layer}.self_attn.o_prj": "x"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "model_type is 'mamba'; decoders of llama, qwen2, qwen3"),
        ({"model_type": "qwen2", "head_dim": 32}, "4 heads of 32 are not hidden_size 64"),
        ({"model_type": "lfm2", "head_dim": 32}, "4 heads of 32 are not hidden_size 64"),
        ({"model_type": "lfm2", "conv_bias": True}, "conv_bias is True"),
        ({"model_type": "lfm2", "block_multiple_of": 0}, "block_multiple_of is 0"),
        ({"model_type": "lfm2", "layer_types": "conv"}, "a list of 2 kinds is due"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window is True"),
        ({"model_type": "qwen3", "attention_bias": True}, "attention_bias is true, the runtime's qwen3"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layers of 'sliding_attention'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope type 'llama3'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
        ({"head_dim": 15}, "an even number is due"),
        ({"intermediate_size": None}, "intermediate_size is None"),
    ],
)
def test_configurations_that_the_graph_cannot_compute(changes: dict[str, Any], message: str) -> None:
    _, problems = read({**SHAPE, "model_type": "llama", "max_position_embeddings": 128} | changes)
    assert message in "; ".join(problems)
