"""Before anything is written: every problem at once; after: the error of every tensor, true to the file."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from magicvl.convert import content
from magicvl.convert.bundle import convert
from magicvl.convert.checkpoint import read_header
from magicvl.convert.content import largest
from magicvl.convert.loss import relative_error
from magicvl.edge.bundle import read_bundle
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import CheckpointError

LAYER = "model.language_model.layers.0."


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def change(checkpoint: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    edit(tensors)
    save_file(tensors, checkpoint / "model.safetensors")


def problems(checkpoint: Path, target: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        convert(checkpoint, target, **options)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_problems_are_told_at_once(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        tensors[LAYER + "mlp.up_proj.weight"][3, 4] = math.nan
        tensors[LAYER + "mlp.gate_proj.weight"][0, 0] = -math.inf
        tensors[LAYER + "mlp.down_proj.weight"].zero_()
        tensors[LAYER + "self_attn.v_proj.weight"][1, 1] = 70000
        del tensors["model.vision_tower.post_layernorm.weight"]

    change(copy, damage)
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    message = problems(copy, tmp_path / "bundle")
    for words in (
        "problems: ",
        f"1 with NaN: {LAYER}mlp.up_proj.weight",
        f"1 with infinite numbers: {LAYER}mlp.gate_proj.weight",
        f"1 all zero: {LAYER}mlp.down_proj.weight",
        f"{LAYER}self_attn.v_proj.weight (values up to 70000, F16 holds 65504 at most)",
        "1 missing: model.vision_tower.post_layernorm.weight",
        "Whitespace",
        "0.00 GB free",
    ):
        assert words in message, message


def test_an_unknown_architecture_does_not_hide_the_pre_tokenizer(copy: Path, tmp_path: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["model_type"] = "mamba"
    (copy / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    message = problems(copy, tmp_path / "bundle")
    assert "mamba" in message and "Whitespace" in message


def test_biases_may_be_zero_and_weights_may_not(copy: Path, tmp_path: Path) -> None:
    def zero(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if name.endswith(".bias"):
                tensor.zero_()

    change(copy, zero)
    convert(copy, tmp_path / "bundle")

    def mute(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.language_model.norm.weight"].zero_()

    change(copy, mute)
    assert "1 all zero: model.language_model.norm.weight" in problems(copy, tmp_path / "other")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [0.0, -0.0, -7.5, 3e-5, math.inf, -math.inf, math.nan])
def test_the_largest_number_of_a_tensor(
    dtype: torch.dtype, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "CHUNK", 64)
    numbers = torch.zeros(7, 31, dtype=dtype)
    numbers[6, 30] = value
    save_file({"x": numbers}, tmp_path / "x.safetensors")
    found = largest(read_header(tmp_path / "x.safetensors")["x"])
    expected = abs(float(numbers[6, 30]))
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize(("llm_type", "mmproj_type"), [("F16", "F32"), ("Q8_0", "Q8_0"), ("Q4_K_M", "F16")])
def test_the_report_holds_the_error_of_every_tensor(
    llm_type: str, mmproj_type: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    report = convert(tiny_checkpoint, tmp_path / "bundle", llm_type=llm_type, mmproj_type=mmproj_type)
    source = load_file(tiny_checkpoint / "model.safetensors")
    for role, name in report.files.items():
        losses = report.tensors[role]
        assert [loss.error for loss in losses] == sorted((loss.error for loss in losses), reverse=True)
        written = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "bundle" / name).tensors}
        assert {loss.name for loss in losses} == set(written)
        for loss in losses:
            assert (loss.type, loss.bytes) == (written[loss.name].tensor_type.name, written[loss.name].n_bytes)
            if loss.type == "F32":
                assert loss.error == 0
            elif any(word in loss.name for word in ("attn_q", "attn_k", "patch")):
                assert 0 < loss.error < 0.2  # their numbers are in another order
            else:
                theirs = source[loss.source].double().numpy()
                # gguf's own decoder, in NumPy: another implementation than the one that made the report.
                ours = gguf.dequantize(written[loss.name].data, written[loss.name].tensor_type).reshape(theirs.shape)
                expected = np.sqrt(((ours - theirs) ** 2).sum() / (theirs**2).sum())
                assert loss.error == pytest.approx(expected, rel=1e-3), loss.name
    lock = read_bundle(tmp_path / "bundle").lock
    assert len(lock.report["tensors"]["llm"]) == len(report.tensors["llm"])
    assert lock.report["tensors"]["mmproj"][0]["error"] == report.tensors["mmproj"][0].error
    text = report.to_text()
    if llm_type != "F16":
        assert report.tensors["llm"][0].name in text and "without any error" in text


def test_an_error_in_a_single_block_is_seen(tiny_bundle: Path, tiny_checkpoint: Path) -> None:
    file = read_gguf(tiny_bundle / "mmproj.gguf")
    numbers = load_file(tiny_checkpoint / "model.safetensors")["model.vision_tower.encoder.layers.0.mlp.fc1.weight"]
    written = file.tensors["v.blk.0.ffn_up.weight"]
    assert relative_error([numbers.numpy()], file, written) == 0
    numbers[-1, -1] += 1
    assert relative_error([numbers.numpy()], file, written) > 0.01
