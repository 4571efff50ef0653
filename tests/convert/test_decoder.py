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
    ],
)
def test_the_table_is_the_models_state(architecture: str, more: dict[str, Any]) -> None:
    config = CONFIG_MAPPING[architecture](**(SHAPE | more))
    state = AutoModelForCausalLM.from_config(config).state_dict()
    decoder, problems = read(config.to_dict(), names=DecoderNames(prefix="model."))
    assert not problems
    assert {tensor.source: tensor.shape for tensor in decoder_tensors(decoder)} == {
        name: tuple(weight.shape) for name, weight in state.items()
    }
    moved = {tensor.target for tensor in decoder_tensors(decoder) if tensor.layout is not Layout.SAME}
    assert bool(moved) == (architecture == "llama")


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
