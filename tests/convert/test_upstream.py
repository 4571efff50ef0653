"""Our LLM file against the one that llama.cpp's own converter writes from the same decoder."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from magicvl.convert.bundle import convert
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True},
    "llama, untied": {"tie_word_embeddings": False},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 64},
    "lfm2": {
        "model_type": "lfm2",
        "num_hidden_layers": 3,
        "layer_types": ["conv", "full_attention", "conv"],
        "intermediate_size": 390,
        "block_multiple_of": 32,
        "pad_token_id": None,
    },
    "lfm2, untied": {
        "model_type": "lfm2",
        "layer_types": ["full_attention", "conv"],
        "block_auto_adjust_ff_dim": False,
        "conv_L_cache": 4,
        "norm_eps": 1e-6,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    },
}


def text_only(model: MagicVLForConditionalGeneration, checkpoint: Path, place: Path) -> Path:
    """The decoder of a MagicVL checkpoint as a checkpoint of its own, with the same tokenizer."""
    decoder = AutoModelForCausalLM.from_config(model.config.text_config)
    decoder.model.load_state_dict(model.model.language_model.state_dict())
    decoder.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.data)
    decoder.tie_weights()
    decoder.to(model.dtype).save_pretrained(place)
    for file in checkpoint.glob("*token*"):
        shutil.copy(file, place)
    for name in ("chat_template.jinja", "generation_config.json"):
        shutil.copy(checkpoint / name, place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_same_file(
    family: str,
    dtype: torch.dtype,
    upstream: Any,
    build_tiny: Callable[..., Any],
    save_tiny: Callable[..., Path],
    tiny_tokenizer: Any,
    tmp_path: Path,
) -> None:
    # transformers gives every Qwen2 tokenizer this token, and more rows than the model has where it was missing.
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"unk_token": "<|endoftext|>"})
    model = build_tiny(text={"vocab_size": len(tokenizer), **FAMILIES[family]}).to(dtype)
    if family.startswith(("qwen2", "lfm2")):
        # No Qwen2 and no LFM2 says it: 32, the width over the heads.
        del model.config.text_config.head_dim
    checkpoint = save_tiny(model, tmp_path / "checkpoint", tokenizer=tokenizer)
    generation = json.loads((checkpoint / "generation_config.json").read_text())
    generation |= {"do_sample": True, "top_k": 20, "top_p": 0.8, "temperature": 0.7, "repetition_penalty": 1.05}
    (checkpoint / "generation_config.json").write_text(json.dumps(generation))
    place = text_only(model, checkpoint, tmp_path / "decoder")
    for kind in ("f16", "bf16") if dtype is torch.bfloat16 else ("f16", "f32"):
        convert(checkpoint, tmp_path / kind, llm_type=kind.upper())
        upstream.check_llm(tmp_path / kind / "llm.gguf", place, kind, "smollm")
