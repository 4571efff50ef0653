"""A bundle whose decoder is an installed package's file: named, checked, and run with an adapter in F16."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from magicvl.convert.bundle import convert
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import CheckpointError, UsageError


@pytest.fixture
def package(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable package that carries the tiny decoder in F32, and nothing else."""
    convert(tiny_checkpoint, tmp_path / "whole", llm_type="F32")
    folder = tmp_path / "site" / "carried_llm"
    (folder / "files").mkdir(parents=True)
    (folder / "__init__.py").touch()
    shutil.copy(tmp_path / "whole" / "llm.gguf", folder / "files" / "it.gguf")
    monkeypatch.syspath_prepend(tmp_path / "site")
    sys.modules.pop("carried_llm", None)
    return "carried_llm"


@pytest.fixture
def adapter(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A LoRA directory as PEFT writes it, of two layers' queries."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj"], "init_lora_weights": true}'
    )
    shapes = {name: each.shape for name, each in load_file(tiny_checkpoint / "model.safetensors").items()}
    tensors = {}
    for name in (name for name in shapes if "language_model" in name and name.endswith("q_proj.weight")):
        module = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(3, shapes[name][1]) * 0.2
        tensors[f"{module}.lora_B.weight"] = torch.randn(shapes[name][0], 3) * 0.2
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def logits(bundle: Path, picture: Image.Image) -> Any:
    with Engine(bundle, threads=1) as engine:
        return np.array(engine.logits(picture, "What is it?"))


def test_the_package_is_named_and_its_file_runs(
    package: str, adapter: Path, tiny_checkpoint: Path, tmp_path: Path, make_picture: Callable[..., Image.Image]
) -> None:
    torch.manual_seed(0)
    picture, bundle = make_picture(96, 64), tmp_path / "bundle"
    convert(tiny_checkpoint, bundle, adapter=adapter, llm_package=package, lora_type="F16")
    assert sorted(path.name for path in bundle.iterdir()) == ["lora.gguf", "magicvl.json", "mmproj.gguf"]
    lock = read_bundle(bundle).lock
    assert (lock.files["llm"].package, lock.files["llm"].path) == (package, "files/it.gguf")
    read_bundle(bundle).verify()
    assert {tensor.type for tensor in read_gguf(bundle / "lora.gguf").tensors.values()} == {"F16"}
    convert(tiny_checkpoint, tmp_path / "plain", adapter=adapter, llm_type="F32")
    ours, theirs, without = (logits(path, picture) for path in (bundle, tmp_path / "plain", tmp_path / "whole"))
    assert np.abs(ours - theirs).max() < 0.01 * np.abs(ours - without).max()


def test_another_decoder_is_refused(
    package: str, build_tiny: Callable[..., Any], save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    other = save_tiny(build_tiny(seed=1), tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"not the checkpoint's decoder: it differs in .* train the decoder by"):
        convert(other, tmp_path / "bundle", llm_package=package)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["no_such_package", "magicvl.edge", "json"])
def test_a_package_without_a_decoder_is_wrong_use(name: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--llm-package {name}: "):
        convert(tiny_checkpoint, tmp_path / "bundle", llm_package=name)
