"""`magicvl train complexity` from samples to table, with small random models."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl.cli import run
from magicvl.train.complexity import choose as choosing
from magicvl.train.complexity.ocr import Ocr
from magicvl.train.complexity.table import levels, read_table
from magicvl.train.generator.dataset import Dataset
from magicvl.train.samples.generated import Generated


@pytest.fixture
def generated(made_up: Mapping[str, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    """`generated:` names the made-up datasets."""
    stored = choosing.open_samples
    kinds = tuple(made_up.values())

    def open_samples(spec: str, seed: int = 0) -> Any:
        return Generated(kinds, seed, "train") if spec.startswith("generated:") else stored(spec, seed)

    monkeypatch.setattr(choosing, "open_samples", open_samples)


def command(specs: Sequence[str], output: Path, llm: Path, *options: object) -> int:
    return run(
        ["train", "complexity", *specs, "-o", str(output), "--llm", str(llm), "--count", "3", *map(str, options)]
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("generated")
def test_from_samples_to_table(
    llava: Path, tiny_llm: Path, growing: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output, figure = llava.parent / "complexity.json", llava.parent / "complexity.png"
    specs = ["generated:all", f"llava:{llava}?category=ocr"]
    options = [word for model in growing for word in ("--models", model)]
    assert command(specs, output, tiny_llm, *options, "--figure", figure) == 0
    out, err = capsys.readouterr()
    table = read_table(output)
    assert set(table.datasets) == {"generated/sign", "generated/page", "generated/photo", "generated/riddle", "notes"}
    page, sign, notes = (table.datasets[name] for name in ("generated/page", "generated/sign", "notes"))
    assert page.terms.length is not None
    assert sign.terms.length is not None
    assert page.terms.length > sign.terms.length
    assert page.s > sign.s
    assert (page.measured, page.samples, notes.samples) == (3, None, 10)
    assert notes.terms.text_density is None
    assert table.datasets["generated/riddle"].s_image is None
    assert all(entry.s_task is not None for entry in table.datasets.values())
    assert levels(table)["generated/photo"] == levels(table)["generated/riddle"] == "low"
    assert {levels(table)[name] for name in ("generated/page", "generated/sign", "notes")} == {"low", "high"}
    assert out.splitlines()[0].startswith("category ")
    assert "not cut, one dataset or all alike, so low: text, caption" in out
    assert "left out, printed text: no boxes (--ocr reads it with tesseract): notes" in out
    assert err == ""
    with Image.open(figure) as drawn:
        assert (drawn.format, drawn.width) == ("PNG", 1540)
    scores = lines(llava.parent / "complexity.samples.jsonl")
    assert len(scores) == sum(entry.measured for entry in table.datasets.values())
    assert all(0 <= row[name] <= 1 for row in scores for name in ("s_text", "s_task", "s"))


@pytest.mark.usefixtures("generated")
def test_again_nothing_is_measured_and_the_table_is_the_same(
    tmp_path: Path, tiny_llm: Path, growing: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output, rows = tmp_path / "complexity.json", tmp_path / "complexity.terms.jsonl"
    assert command(["generated:all"], output, tiny_llm) == 0
    first, measured = output.read_bytes(), rows.read_bytes()
    assert "S_task: left out, no --models" in capsys.readouterr().out
    assert command(["generated:all"], output, tiny_llm) == 2
    assert "complexity.json exists; --force overwrites it, and keeps what was measured" in capsys.readouterr().err
    # Half of it and a cut line, as a kill leaves it.
    rows.write_bytes(measured[: len(measured) // 2])
    assert command(["generated:all"], output, tiny_llm, "--force") == 0
    assert (output.read_bytes(), rows.read_bytes()) == (first, measured)
    # Models add their losses, and nothing is read twice.
    models = ("--models", growing[0], "--models", growing[2])
    assert command(["generated:all"], output, tiny_llm, "--force", *models) == 0
    assert rows.read_bytes().startswith(measured)
    assert len(lines(rows)) == 3 * len(measured.splitlines())
    grown = rows.read_bytes()
    (tmp_path / "own.toml").write_text("beta = 1\ndelta = 0\n")
    capsys.readouterr()
    own = ("--settings", tmp_path / "own.toml", "--json")
    assert command(["generated:all"], output, tiny_llm, "--force", *models, *own) == 0
    assert rows.read_bytes() == grown
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(output.read_text())
    assert said["settings"]["delta"] == 0
    assert [model["name"] for model in said["settings"]["models"]] == ["small", "large"]


def test_samples_that_cannot_be_seen_are_left_out(
    llava: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(llava.read_text())
    llava.write_text(json.dumps([*rows, {"id": "bad"}]))
    output = llava.parent / "complexity.json"
    assert command([f"llava:{llava}"], output, tiny_llm, "--count", 20) == 0
    err = capsys.readouterr().err
    assert err.splitlines() == [
        "magicvl: 1 stored samples cannot be read and are left out",
        "magicvl: notes: 2 of 10 samples are of another category than vqa, as which it is scored",
        f"magicvl: left out: notes, 7: {llava.parent / '7.png'}: no such file",
    ]
    assert read_table(output).datasets["notes"].measured == 9
    # One that is mended is measured.
    Image.new("RGB", (8, 8)).save(llava.parent / "7.png")
    assert command([f"llava:{llava}"], output, tiny_llm, "--count", 20, "--force") == 0
    assert read_table(output).datasets["notes"].measured == 10


def test_a_dataset_of_which_nothing_can_be_seen(
    llava: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for picture in llava.parent.glob("*.png"):
        picture.write_bytes(b"none")
    llava.write_text(json.dumps(json.loads(llava.read_text())[:8]))
    assert command([f"llava:{llava}"], llava.parent / "complexity.json", tiny_llm) == 1
    assert "notes: none of its samples can be measured" in capsys.readouterr().err.splitlines()[-1]
    assert not (llava.parent / "complexity.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--count", "0"), "--count 0"),
        (("--models", "here"), "1 --models: S_task compares two sizes or three"),
        (("--settings", "none.toml"), "none.toml: settings of complexity cannot be read"),
        (("--figure", "none/figure.png"), "none: no such directory"),
    ],
)
def test_wrong_use(
    options: Sequence[str], said: str, llava: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([f"llava:{llava}"], llava.parent / "complexity.json", tiny_llm, *options) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert said in err
    assert not list(llava.parent.glob("complexity*"))


def test_samples_that_nothing_names(tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["llama:here"], tmp_path / "complexity.json", tiny_llm) == 2
    assert "'llama:here' names no samples" in capsys.readouterr().err


def fake_tesseract(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "tesseract"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_text_without_boxes_is_read_by_tesseract(
    llava: Path, tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    specs, output = [f"llava:{llava}"], tmp_path / "complexity.json"
    assert command(specs, output, tiny_llm, "--ocr") == 2
    assert "no tesseract on the PATH" in capsys.readouterr().err
    monkeypatch.undo()
    (tmp_path / "bin").mkdir()
    fake_tesseract(tmp_path / "bin", "cat > /dev/null; printf 'the sign\\n\\nreads 1905\\n\\f'", monkeypatch)
    assert Ocr().read(Image.new("RGB", (40, 20))) == "the sign reads 1905"
    assert command(specs, output, tiny_llm, "--ocr") == 0
    assert read_table(output).datasets["notes"].terms.text_density
    fake_tesseract(tmp_path / "bin", "echo 'no language' >&2; exit 3", monkeypatch)
    assert command(specs, output, tiny_llm, "--ocr", "--force", "--count", 10) == 1
    assert "tesseract failed: no language" in capsys.readouterr().err


SLOW = """
import sys, time
from magicvl.train.complexity import measure
from magicvl.cli import main
see = measure.see
def slowly(*arguments):
    time.sleep(0.3)
    return see(*arguments)
measure.see = slowly
sys.argv[0] = "magicvl"
main()
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(llava: Path, tiny_llm: Path) -> None:
    output, rows = llava.parent / "complexity.json", llava.parent / "complexity.terms.jsonl"
    arguments = ["train", "complexity", f"llava:{llava}", "-o", output, "--llm", tiny_llm, "--count", "20"]
    with subprocess.Popen([sys.executable, "-c", SLOW, *map(str, arguments)]) as process:
        until = time.monotonic() + 120
        while not (rows.exists() and rows.read_bytes().count(b"\n") >= 3) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = rows.read_bytes()
    assert 3 <= kept.count(b"\n") < 10
    assert not output.exists()
    assert run([str(argument) for argument in arguments]) == 0
    assert rows.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert len(lines(rows)) == 10
    assert read_table(output).datasets["notes"].measured == 9
