"""The decoder's half: every family and every type in llama.cpp against torch, and every number where it belongs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from magicvl.convert import gguf_file
from magicvl.convert.bundle import convert
from magicvl.convert.llm import PLAIN_TYPES, write_llm
from magicvl.convert.progress import Quiet
from magicvl.convert.quantise import LLM_TYPES, ROWS, quantise_llm
from magicvl.convert.sources import open_source
from magicvl.convert.tolerance import TOLERANCES
from magicvl.convert.vocabulary import read_vocabulary
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Context, Model
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

Build = Callable[..., MagicVLForConditionalGeneration]
Save = Callable[..., Path]

PROMPT = "<|user|>How many stars are in 1905? 東京<|assistant|>"
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
    "qwen2": {"model_type": "qwen2", "head_dim": 32},
    "qwen3": {"model_type": "qwen3", "head_dim": 64, "tie_word_embeddings": False},
}
WIDE = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}
"""Rows of this decoder are multiples of 256: every block type holds them."""


def make(build: Build, save: Save, place: Path, dtype: torch.dtype = torch.float32, **text: Any) -> tuple[Any, Path]:
    model = build(text=text).to(dtype)
    return model, save(model, place / "checkpoint")


def write(checkpoint: Path, path: Path, wanted: str | None) -> Path:
    source = open_source(checkpoint)
    vocabulary = read_vocabulary(checkpoint, source.decoder.vocabulary)
    write_llm(source, vocabulary, path, Quiet(), wanted)
    return path


def ours(path: Path, ids: list[int]) -> np.ndarray:
    """Logits after every token, (tokens, vocabulary)."""
    with Model(path) as model, Context(model, 128, threads=1) as context:
        rows = []
        for token in ids:
            context.push_tokens([token], logits=True)
            rows.append(context.logits())
    return np.stack(rows)


def theirs(model: Any, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float().numpy()


def error(a: np.ndarray, b: np.ndarray) -> float:
    """The worst token's root mean square difference, in standard deviations of its logits."""
    return float((np.sqrt(((a - b) ** 2).mean(1)) / b.std(1)).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_computes_what_torch_computes(
    family: str, build_tiny: Build, save_tiny: Save, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    model, checkpoint = make(build_tiny, save_tiny, tmp_path, **FAMILIES[family])
    ids = tiny_tokenizer(PROMPT).input_ids
    path = write(checkpoint, tmp_path / "llm.gguf", "F32")
    assert gguf.GGUFReader(path).fields["general.architecture"].contents() == family
    expected = theirs(model, ids)
    found = error(ours(path, ids), expected)
    assert found <= TOLERANCES["F32"].logits, f"{found:.5f}"
    # A query head's rows in each other's places would be seen.
    for name, weight in model.named_parameters():
        if name.endswith("0.self_attn.q_proj.weight"):
            weight.data = weight.data.reshape(4, 2, -1, 128).transpose(1, 2).reshape(weight.shape)
    assert error(theirs(model, ids), expected) > 10 * TOLERANCES["F32"].logits


@pytest.fixture(scope="module")
def wide(
    build_tiny: Build, save_tiny: Save, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int], np.ndarray]:
    """A checkpoint, a prompt, and torch's logits for it."""
    model, checkpoint = make(build_tiny, save_tiny, tmp_path_factory.mktemp("wide"), **WIDE)
    ids = tiny_tokenizer(PROMPT).input_ids
    return checkpoint, ids, theirs(model, ids)


@pytest.mark.parametrize("kind", LLM_TYPES)
def test_every_type(kind: str, wide: tuple[Path, list[int], np.ndarray], tmp_path: Path) -> None:
    checkpoint, ids, expected = wide
    path = write(checkpoint, tmp_path / "wide.gguf", kind if kind in PLAIN_TYPES else None)
    if kind in ROWS:
        assert quantise_llm(path, tmp_path / "llm.gguf", kind, Quiet(), threads=1) == []
        path = tmp_path / "llm.gguf"
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.file_type"].contents() == LLM_TYPES[kind]
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["blk.0.attn_q.weight"] == kind.removesuffix("_M")
    assert types["blk.0.attn_norm.weight"] == "F32"
    found = error(ours(path, ids), expected)
    assert found <= TOLERANCES[kind].logits, f"{found:.4f}"


def test_rows_that_a_type_cannot_hold(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Rows of 128 and 256: a quarter of the tensors fit."""
    wide = write(tiny_checkpoint, tmp_path / "wide.gguf", None)
    wider = quantise_llm(wide, tmp_path / "llm.gguf", "Q5_K_M", Quiet(), threads=1)
    assert "blk.0.attn_q.weight (Q5_1)" in wider
    assert not [name for name in wider if "ffn_down" in name]


def test_bf16_keeps_every_bit(build_tiny: Build, save_tiny: Save, tmp_path: Path) -> None:
    model, checkpoint = make(build_tiny, save_tiny, tmp_path, torch.bfloat16)
    state = model.state_dict()
    down = state["model.language_model.layers.1.mlp.down_proj.weight"]
    query = state["model.language_model.layers.1.self_attn.q_proj.weight"]
    swapped = query.reshape(4, 2, 16, 128).transpose(1, 2).reshape(128, 128)
    for wanted in ("BF16", None, "F32"):
        path = write(checkpoint, tmp_path / f"{wanted}.gguf", wanted)
        tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
        for name, weight in (("blk.1.ffn_down.weight", down), ("blk.1.attn_q.weight", swapped)):
            due = weight.float() if wanted == "F32" else weight.view(torch.int16)
            assert tensors[name].tensor_type.name == (wanted or "BF16")
            assert tensors[name].data.tobytes() == due.numpy().tobytes(), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("wanted", [*PLAIN_TYPES, None])
def test_pieces_make_the_same_file(
    wanted: str | None,
    dtype: torch.dtype,
    build_tiny: Build,
    save_tiny: Save,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, checkpoint = make(build_tiny, save_tiny, tmp_path, dtype)
    whole = write(checkpoint, tmp_path / "whole.gguf", wanted).read_bytes()
    # Seven rows of the embedding table and three of the widest matrix: no piece ends where a tensor does.
    monkeypatch.setattr(gguf_file, "CHUNK", 900)
    assert write(checkpoint, tmp_path / "pieces.gguf", wanted).read_bytes() == whole


def test_the_file_says_what_it_holds(tiny_bundle: Path) -> None:
    keys = read_gguf(tiny_bundle / "llm.gguf").metadata
    assert keys["general.size_label"] == "345K"
    assert keys["tokenizer.ggml.padding_token_id"] == 2


def test_a_whole_conversion(build_tiny: Build, save_tiny: Save, tmp_path: Path) -> None:
    _, checkpoint = make(build_tiny, save_tiny, tmp_path, torch.bfloat16, model_type="qwen3", head_dim=64)
    report = convert(checkpoint, tmp_path / "bundle", llm_type="Q4_0")
    assert report.fallbacks["llm"] == []
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["llm.gguf", "magicvl.json", "mmproj.gguf"]
