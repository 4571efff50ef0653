"""A bundle's caption adapter: films are described with it, and pictures are answered exactly as without it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from magicvl import cli
from magicvl.convert.bundle import convert
from magicvl.convert.restore import restore
from magicvl.convert.restore_adapter import CAPTION_ADAPTER
from magicvl.edge.bundle import read_bundle, sha256
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.memory import needed_memory
from magicvl.errors import BundleError, CheckpointError, EngineError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.usefixtures("brief"),
]
Build = Callable[..., MagicVLForConditionalGeneration]
DECODER = r".*language_model.*\.(q_proj|v_proj|down_proj)"
ENCODER = r".*(fc1|linear_1)"


@pytest.fixture(scope="module")
def adapter(build_tiny: Build, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the directory of a random adapter."""

    def make(seed: int, targets: str = DECODER) -> Path:
        directory = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(seed)
        model = get_peft_model(build_tiny(), LoraConfig(target_modules=targets, r=4, lora_alpha=8))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_" in name:
                    weight.normal_(0.0, 0.15)
        model.save_pretrained(directory)
        return directory

    return make


@pytest.fixture(scope="module")
def first(adapter: Callable[..., Path]) -> Path:
    return adapter(1)


@pytest.fixture(scope="module")
def second(adapter: Callable[..., Path]) -> Path:
    return adapter(2)


@pytest.fixture(scope="module")
def captioning(tiny_checkpoint: Path, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_checkpoint` with a caption adapter."""
    target = tmp_path_factory.mktemp("captioning") / "bundle"
    convert(tiny_checkpoint, target, llm_type="F16", mmproj_type="F32", caption_adapter=first)
    return target


@pytest.fixture(scope="module")
def frames(make_picture: Callable[..., Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures."""
    folder = tmp_path_factory.mktemp("frames")
    for number in range(3):
        make_picture(96, 64, seed=number).save(folder / f"{number}.png")
    return folder


def said(engine: Engine, frames: Path) -> Any:
    return engine.caption(frames, max_tokens=200).description


@pytest.mark.parametrize("lora_type", ["F32", "F16"])
def test_it_comes_back_with_the_checkpoint(lora_type: str, tiny_checkpoint: Path, first: Path, tmp_path: Path) -> None:
    def converted(checkpoint: Path, adapter: Path, name: str) -> dict[str, bytes]:
        convert(checkpoint, tmp_path / name, llm_type="F16", caption_adapter=adapter, lora_type=lora_type)
        data, found = (tmp_path / name / "caption.gguf").read_bytes(), read_gguf(tmp_path / name / "caption.gguf")
        return {each.name: data[each.offset : each.offset + each.size] for each in found.tensors.values()}

    before = converted(tiny_checkpoint, first, "tiny")
    restore(tmp_path / "tiny", tmp_path / "back")
    assert len(before) > 4
    assert converted(tmp_path / "back", tmp_path / "back" / CAPTION_ADAPTER, "again") == before


def test_one_that_does_not_fit_is_not_restored(captioning: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(captioning, tmp_path / "bundle"))
    data = bytearray((bundle / "caption.gguf").read_bytes())
    name = b"blk.0.attn_q.weight.lora_a"
    assert data.count(name) == 1
    data[data.index(name) : data.index(name) + len(name)] = b"blk.9.attn_q.weight.lora_a"
    (bundle / "caption.gguf").write_bytes(data)
    lock = json.loads((bundle / "magicvl.json").read_text())
    lock["files"]["caption_lora"]["sha256"] = sha256(bundle / "caption.gguf")
    (bundle / "magicvl.json").write_text(json.dumps(lock))
    with pytest.raises(BundleError, match=r"blk\.9\.attn_q"):
        restore(bundle, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_films_alone_are_described_with_it(
    captioning: Path, tiny_bundle: Path, tiny_checkpoint: Path, first: Path, frames: Path, tmp_path: Path
) -> None:
    picture = Image.open(frames / "0.png")
    convert(tiny_checkpoint, tmp_path / "adapted", llm_type="F16", mmproj_type="F32", adapter=first)
    with Engine(tiny_bundle, threads=1) as plain, Engine(tmp_path / "adapted", threads=1) as adapted:
        expected = plain.logits(picture, "What is it?")
        without, with_it = said(plain, frames), said(adapted, frames)
        answer = plain.ask(picture, "What is it?", max_tokens=8)
    assert without != with_it, "the adapter does next to nothing: this test shows little"
    with Engine(captioning, threads=1) as engine:
        assert np.array_equal(engine.logits(picture, "What is it?"), expected)
        made = engine.caption(frames, max_tokens=200)
        assert made.description == with_it and made.adapted and made.to_json()["caption_lora"] is True
        assert engine.ask(picture, "What is it?", max_tokens=8) == answer
        assert np.array_equal(engine.logits(picture, "What is it?"), expected)
        again = engine.caption(frames, max_tokens=200)
        assert again.description == with_it and again.usage.cached_tokens == made.usage.prompt_tokens - 1


def test_it_is_not_loaded_where_it_does_not_fit(
    captioning: Path, tiny_bundle: Path, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, without = read_bundle(captioning), read_bundle(tiny_bundle)
    llm = read_gguf(bundle.path("llm"))
    size = bundle.path("caption_lora").stat().st_size
    assert needed_memory(bundle, llm).total == needed_memory(without, llm).total, "who asks about pictures has none"
    assert needed_memory(bundle, llm, captions=True).total == needed_memory(without, llm).total + size
    with Engine(captioning, threads=1) as engine:
        with monkeypatch.context() as full:
            full.setattr("magicvl.edge.memory.free_memory", lambda: size)
            with pytest.raises(EngineError, match=r"a context of [0-9,]+ tokens with its adapter takes about"):
                said(engine, frames)
        assert said(engine, frames)


def test_it_comes_on_top_of_the_other_adapter(
    tiny_checkpoint: Path, first: Path, second: Path, frames: Path, tmp_path: Path
) -> None:
    descriptions = []
    for number, (one, other) in enumerate([(first, second), (second, first)]):
        target = tmp_path / str(number)
        convert(tiny_checkpoint, target, llm_type="F16", mmproj_type="F32", adapter=one, caption_adapter=other)
        with Engine(target, threads=1) as engine:
            descriptions.append(said(engine, frames))
    assert descriptions[0] == descriptions[1]


def test_nothing_of_it_is_merged(tiny_checkpoint: Path, first: Path, second: Path, tmp_path: Path) -> None:
    report = convert(tiny_checkpoint, tmp_path / "bundle", adapter=first, merge=True, caption_adapter=second)
    assert {change.how for change in report.adapter} == {"merged"}
    assert {change.how for change in report.caption_adapter} == {"caption.gguf"}
    assert [change.source for change in report.caption_adapter] != []
    names = read_gguf(tmp_path / "bundle" / "caption.gguf").tensors
    assert len(names) == 2 * len(report.caption_adapter)
    assert not (tmp_path / "bundle" / "lora.gguf").exists()
    assert "caption adapter: 6 tensors; the largest changes:" in report.to_text()


def test_an_adapter_of_the_encoder_is_refused(
    tiny_checkpoint: Path, adapter: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"of the encoder, which a caption adapter cannot change"):
        convert(tiny_checkpoint, tmp_path / "bundle", caption_adapter=adapter(3, ENCODER))
    assert not (tmp_path / "bundle").exists()


def test_the_command_makes_it_and_inspect_verifies_it(
    tiny_checkpoint: Path, first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert cli.run(["convert", str(tiny_checkpoint), str(bundle), "--caption-adapter", str(first), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["caption_adapter"]
    assert read_bundle(bundle).lock.files["caption_lora"].path == "caption.gguf"
    assert cli.run(["inspect", str(bundle), "--json", "--verify"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [Path(file["path"]).name for file in found["files"]] == ["llm.gguf", "mmproj.gguf", "caption.gguf"]
    assert not any("caption" in warning for warning in found["warnings"])
    with (bundle / "caption.gguf").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xa5")
    assert cli.run(["inspect", str(bundle), "--json", "--verify"]) == 0
    assert any("caption.gguf: its sha256" in warning for warning in json.loads(capfd.readouterr().out)["warnings"])
    assert cli.run(["restore", str(tiny_checkpoint.parent), str(tmp_path / "no")]) == 1


def test_one_of_another_decoder_is_refused_before_it_is_loaded(captioning: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(captioning, bundle)
    path, lock = bundle / "caption.gguf", json.loads((bundle / "magicvl.json").read_text())
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_q.weight.lora_a", b"blk.7.attn_q.weight.lora_a"))
    lock["files"]["caption_lora"]["sha256"] = sha256(path)
    (bundle / "magicvl.json").write_text(json.dumps(lock))
    with pytest.raises(BundleError, match=r"caption\.gguf: no adapter of llm\.gguf"):
        Engine(bundle, threads=1)


def test_a_conversation_goes_on_when_one_comes_to_its_bundle(
    captioning: Path, tiny_bundle: Path, frames: Path, tmp_path: Path
) -> None:
    """What was said about pictures, and what was measured, is of the same model."""
    assert read_bundle(captioning).lock.answering == read_bundle(tiny_bundle).lock.answering
    with Engine(tiny_bundle, threads=1) as engine:
        session = engine.session()
        session.ask("What is it?", frames / "0.png", max_tokens=4)
        engine.save_session(session, tmp_path / "talk")
    with Engine(captioning, threads=1) as engine:
        assert len(engine.open_session(tmp_path / "talk").turns) == 1


def test_a_bundle_without_one_describes_with_the_plain_model(tiny_bundle: Path, frames: Path) -> None:
    with Engine(tiny_bundle, threads=1) as engine:
        made = engine.caption(frames, max_tokens=200)
    assert not made.adapted and made.to_json()["caption_lora"] is False
