"""The way back: a bundle of any type to a checkpoint, and there again without loss."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from magicvl import cli
from magicvl.convert.bundle import convert
from magicvl.convert.restore import restore
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.bundle import lock_from_json, lock_to_json, sha256
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.plan import plan
from magicvl.edge.prompt import ask_messages
from magicvl.errors import BundleError, UsageError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor

TEXTS = ["What is in 1905?", "東京 🙂\n\tdef f(): pass", "<|user|>hi<|end|><|image|>"]


def tensors(path: Path) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of each tensor of a GGUF file."""
    data = path.read_bytes()
    found = read_gguf(path).tensors.values()
    return {tensor.name: (tensor.type, data[tensor.offset : tensor.offset + tensor.size]) for tensor in found}


@pytest.mark.parametrize(("llm_type", "mmproj_type"), [("F16", "F32"), ("F16", "F16"), ("Q8_0", "Q8_0")])
def test_there_and_back_and_there(llm_type: str, mmproj_type: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    first, back, second = tmp_path / "first", tmp_path / "back", tmp_path / "second"
    convert(tiny_checkpoint, first, llm_type=llm_type, mmproj_type=mmproj_type)
    restore(first, back)
    convert(back, second, llm_type=llm_type, mmproj_type=mmproj_type)
    for name in ("llm.gguf", "mmproj.gguf"):
        assert tensors(first / name) == tensors(second / name)
        before, after = read_gguf(first / name).metadata, read_gguf(second / name).metadata
        assert {k for k in before if before[k] != after.get(k)} | (set(after) - set(before)) == {"general.name"}


def test_small_pictures_are_enlarged_all_the_way(
    build_tiny: Callable[..., Any],
    save_tiny: Callable[..., Path],
    make_picture: Callable[..., Image.Image],
    tmp_path: Path,
) -> None:
    checkpoint = save_tiny(build_tiny(min_tokens=20), tmp_path / "first", min_tokens=20)
    convert(checkpoint, tmp_path / "bundle", llm_type="F16", mmproj_type="F32")
    restore(tmp_path / "bundle", tmp_path / "back")
    picture, asked = make_picture(96, 64), "What is it?"
    with Engine(tmp_path / "bundle", threads=1) as engine:
        ours, planned = engine.logits(picture, asked), plan(*picture.size, engine.lock.grid)
    assert (planned.resized, planned.tokens) == ((192, 128), 24)
    for folder in (checkpoint, tmp_path / "back"):
        inputs = MagicVLProcessor.from_pretrained(folder)(ask_messages(asked, 1), [picture])
        with torch.no_grad():
            theirs = MagicVLForConditionalGeneration.from_pretrained(folder).eval()(**inputs).logits[0, -1].numpy()
        assert np.abs(ours - theirs).max() < 0.02 * theirs.std()


@pytest.mark.parametrize(
    "text",
    [
        {"model_type": "qwen2", "head_dim": 32},
        {"model_type": "qwen3", "head_dim": 64, "tie_word_embeddings": False},
        {"model_type": "lfm2", "layer_types": ["conv", "full_attention"], "conv_L_cache": 4, "block_multiple_of": 32},
    ],
    ids=["qwen2", "qwen3", "lfm2"],
)
def test_other_decoders_come_back(
    text: dict[str, object], build_tiny: Callable[..., Any], save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    model = build_tiny(text=text)
    checkpoint = save_tiny(model, tmp_path / "checkpoint")
    convert(checkpoint, tmp_path / "bundle", llm_type="F32", mmproj_type="F32")
    restore(tmp_path / "bundle", tmp_path / "back")
    again = MagicVLForConditionalGeneration.from_pretrained(tmp_path / "back").eval()
    assert type(again.config.text_config) is type(model.config.text_config)
    ids = torch.tensor([[3, 9, 200, 44, 17]])
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)


def test_the_restored_checkpoint_is_the_first_one(tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    restore(tiny_bundle, tmp_path / "back")
    before = load_file(tiny_checkpoint / "model.safetensors")
    after = load_file(tmp_path / "back" / "model.safetensors")
    assert set(before) == set(after)
    for name, tensor in before.items():
        half = tensor.ndim > 1 and name.startswith("model.language_model.")
        expected = tensor.astype(np.float16).astype(np.float32) if half else tensor
        assert np.array_equal(after[name], expected), name
    for name in ("config.json", "processor_config.json", "generation_config.json"):
        old, new = (json.loads((place / name).read_text()) for place in (tiny_checkpoint, tmp_path / "back"))
        for key in old.keys() & new.keys() - {"vision_config", "text_config", "picture_pieces"}:
            assert old[key] == new[key], key
        for part in old.keys() & {"vision_config", "text_config"}:
            for key in old[part].keys() & new[part].keys():
                assert old[part][key] == new[part][key], key


def test_the_restored_tokenizer_is_the_first_one(tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    restore(tiny_bundle, tmp_path / "back")
    old, new = (AutoTokenizer.from_pretrained(place) for place in (tiny_checkpoint, tmp_path / "back"))
    assert old.get_vocab() == new.get_vocab()
    assert (old.eos_token, old.pad_token, old.bos_token) == (new.eos_token, new.pad_token, new.bos_token)
    assert old.chat_template == new.chat_template
    for text in TEXTS:
        for split in (True, False):
            ids = old(text, split_special_tokens=split).input_ids
            assert new(text, split_special_tokens=split).input_ids == ids
            assert new.decode(ids) == old.decode(ids)


def test_a_quantised_bundle_answers_like_its_restored_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path, make_picture: Callable[..., object]
) -> None:
    convert(tiny_checkpoint, tmp_path / "bundle", llm_type="Q4_K_M", mmproj_type="Q8_0")
    restore(tmp_path / "bundle", tmp_path / "back")
    model = MagicVLForConditionalGeneration.from_pretrained(tmp_path / "back").eval()
    processor = MagicVLProcessor.from_pretrained(tmp_path / "back")
    picture = make_picture(450, 100)
    with torch.no_grad():
        theirs = model(**processor(ask_messages("What?", 1), [picture])).logits[0, -1].numpy()
    with Engine(tmp_path / "bundle", threads=1) as engine:
        ours = engine.logits(picture, "What?")
    # The weights are equal, so only llama.cpp's 8-bit activations are between them.
    error = np.sqrt(((ours - theirs) ** 2).mean()) / theirs.std()
    assert error <= TOLERANCES["Q8_0"].logits


def test_the_command_line(tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "back"
    assert cli.run(["restore", str(tiny_bundle), str(target)]) == 0
    assert capfd.readouterr().out.strip() == str(target)
    assert cli.run(["restore", str(tiny_bundle), str(target)]) == 2
    assert "--force replaces it" in capfd.readouterr().err
    assert cli.run(["restore", str(tiny_bundle), str(target), "--force"]) == 0
    with pytest.raises(UsageError):
        restore(target, target, force=True)


def test_a_foreign_bundle_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    path = bundle / "llm.gguf"
    path.write_bytes(path.read_bytes().replace(b"blk.1.ffn_norm.weight", b"blk.1.fun_norm.weight"))
    lock = json.loads((bundle / "magicvl.json").read_text())
    lock["files"]["llm"]["sha256"] = sha256(path)
    (bundle / "magicvl.json").write_text(json.dumps(lock_to_json(lock_from_json(lock))))
    with pytest.raises(BundleError) as caught:
        restore(bundle, tmp_path / "back")
    assert "blk.1.ffn_norm.weight (missing), blk.1.fun_norm.weight (extra)" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
