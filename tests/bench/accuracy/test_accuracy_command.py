"""`magicvl bench accuracy` from end to end: small bundles, tables on disk, pictures that are drawn."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import magicvl
from magicvl.bench.accuracy.nano import SIZES
from magicvl.bench.accuracy.tsv import read_table
from magicvl.cli import run
from magicvl.edge.answer import Answer
from magicvl.edge.engine import Engine
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.evaluate import held_out_samples

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def accuracy(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(["bench", "accuracy", "--threads", "1", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def docvqa(write_table: Write, picture_text: Callable[[int], str]) -> Path:
    """Six questions about three pictures."""
    return write_table(
        "DocVQA_VAL.tsv",
        [
            {"index": number, "image": picture_text(number) if number < 3 else number - 3}
            | {"question": f"question {number}", "answer": "['x']", "category": "ab"[number % 2]}
            for number in range(6)
        ],
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that engines were asked."""
    asked: list[str] = []
    ask = Engine.answer

    def counting(self: Engine, pictures: Any, prompt: str, **options: Any) -> Answer:
        asked.append(prompt)
        return ask(self, pictures, prompt, **options)

    monkeypatch.setattr(Engine, "answer", counting)
    return asked


def test_the_default_is_what_it_was(accuracy: Run) -> None:
    """Each question of the held-out pictures, an answer right if it is the truth to the letter, Wilson's interval."""
    expected: dict[str, list[bool]] = {}
    with Engine(magicvl.DEFAULT_BUNDLE, threads=1) as engine:
        for sample in held_out_samples("test", 2, SIZES):
            picture = draw_scene(sample.scene)
            for question in sample.questions:
                answer = engine.ask(picture, question.prompt, max_tokens=48)
                expected.setdefault(question.task, []).append(answer == question.answer)
                if question.task == "count":
                    number = answer.split(": ")[-1] == question.answer.split(": ")[-1]
                    expected.setdefault("count, its number", []).append(number)
    code, out, err = accuracy("--pictures", 2, "--misses", 2)
    lines = [line for line in out.splitlines() if ", answered '" not in line]
    assert (code, err) == (0, "") and len(lines) == len(expected)
    for line, (task, right) in zip(lines, sorted(expected.items()), strict=True):
        assert line.startswith(f"{task:<17} {100 * sum(right) / len(right):5.1f} %  (")
        assert line.endswith(f")  {sum(right)} of {len(right)}")
    wrong = sum(len(right) - sum(right) for task, right in expected.items() if task != "count, its number")
    assert len(out.splitlines()) - len(lines) == min(2, wrong)
    told = json.loads(accuracy("--pictures", 2, "--json")[1])
    assert told["misses"] == [] and set(told) == {"scores", "misses", "asked"}
    assert {row["task"]: [row["right"], row["asked"]] for row in told["scores"]} == {
        task: [sum(right), len(right)] for task, right in expected.items()
    }


def test_a_table_is_asked_once_a_question_and_kept(
    accuracy: Run, tiny_bundle: Path, docvqa: Path, counted: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.jsonl"
    call = (tiny_bundle, "--suite", docvqa, "--resume", kept)
    code, out, err = accuracy(*call)
    assert (code, err) == (0, "") and len(counted) == 6
    assert [line.split()[0] for line in out.splitlines()] == ["DocVQA_VAL", "all", "DocVQA_VAL,", "a", "b"]
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["id"] for row in rows] == list("012345") and rows[0]["suite"] == "DocVQA_VAL"
    code, again, err = accuracy(*call)
    assert (code, again, len(counted)) == (0, out, 6) and "6 answers are there already" in err
    # Another budget is another question.
    assert accuracy(*call, "--budget", "1", "--pictures", "2")[0] == 0 and len(counted) == 8


def test_answers_are_greedy_and_limited(accuracy: Run, tiny_bundle: Path, docvqa: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    assert accuracy(tiny_bundle, "--suite", docvqa, "--pictures", 1, "--resume", kept)[0] == 0
    row = json.loads(kept.read_text())
    with Engine(tiny_bundle, threads=1) as engine:
        table = read_table(docvqa)
        assert engine.ask(table.pictures(table.rows[0]), row["prompt"], max_tokens=64) == row["answer"]


def test_two_bundles_are_compared_on_the_same_questions(
    accuracy: Run, tiny_bundle: Path, docvqa: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "twin")
    figure, sheet, kept = (tmp_path / name for name in ("bars.png", "sheet.png", "kept.jsonl"))
    call = (tiny_bundle, tmp_path / "twin", "--suite", docvqa, "--pictures", 3, "--resume", kept)
    code, out, err = accuracy(*call, "--misses", 2, "--figure", figure, "--sheet", sheet)
    assert code == 0 and f"wrote {figure}" in err and f"wrote {sheet}" in err
    assert out.startswith("columns: bundle, twin; then each one's difference to bundle, paired\n")
    # Three pictures of 32 x 32 px.
    assert "+0.0 (+0.0 to +0.0)" in out and "twin, DocVQA_VAL: 3 visual tokens" in out
    for path in (figure, sheet):
        with Image.open(path) as picture:
            assert picture.format == "PNG" and min(picture.size) > 100
    # The twin is the same bundle elsewhere, and so are its answers.
    assert kept.read_bytes().count(b"\n") == 3
    told = json.loads(accuracy(*call, "--json")[1])
    assert {row["bundle"] for row in told["scores"]} == {row["bundle"] for row in told["asked"]} == {"bundle", "twin"}
    assert [row["task"] for row in told["differences"]] == ["all", "a", "b"]
    assert all(row["difference"] == row["low"] == row["high"] == 0 for row in told["differences"])
    code, _, err = accuracy(*call, "--figure", figure)
    assert code == 2 and "--force overwrites it" in err


def test_letters_bind_choices(
    accuracy: Run, tiny_bundle: Path, write_table: Write, picture_text: Callable[[int], str], tmp_path: Path
) -> None:
    rows = [{"index": 0, "image": picture_text(0), "question": "q", "answer": "A", "A": "x", "B": "y"}]
    path, kept = write_table("AI2D_TEST.tsv", rows), tmp_path / "kept.jsonl"
    code, _, err = accuracy(tiny_bundle, "--suite", path, "--letters", "--resume", kept)
    assert code == 0 and "not the benchmark's protocol" in err
    assert json.loads(kept.read_text())["answer"] in ("A", "B")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pictures", "0"], "0 pictures: it must be at least 1"),
        (["--suite", "nowhere"], "suite 'nowhere': there are nano, generated"),
        (["--suite", "train:generated"], "what is trained on tells nothing"),
        (["--suite", "nano", "--suite", "nano"], "given twice"),
        (["--suite", "missing.tsv"], "missing.tsv: the rules of which benchmark?"),
        (["--suite", "DocVQA.tsv"], "DocVQA.tsv: cannot be read"),
        (["--sheet", "x.png"], "say how many with --misses"),
        (["--misses", "-1"], "it must be at least 0"),
        (["--figure", "x.jpg"], "a name that ends in .png"),
        (["--figure", "nowhere/x.png"], "nowhere: no such directory"),
        (["--resume", "nowhere/x.jsonl"], "nowhere: no such directory"),
        (["--letters"], "--letters has no effect"),
        (["--force"], "--force has no effect"),
    ],
)
def test_wrong_use_is_one_line(accuracy: Run, arguments: list[str], words: str) -> None:
    code, out, err = accuracy(*arguments)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1


def test_a_bundle_that_is_none_and_one_given_twice(accuracy: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    code, out, err = accuracy(tmp_path)
    assert (code, out) == (1, "") and err.count("\n") == 1 and str(tmp_path) in err
    code, _, err = accuracy(tiny_bundle, tiny_bundle)
    assert code == 2 and "given twice" in err


def test_a_picture_that_is_none_is_told_with_its_row(accuracy: Run, tiny_bundle: Path, write_table: Write) -> None:
    path = write_table("DocVQA.tsv", [{"index": "i7", "image": "A" * 80, "question": "q", "answer": "a"}])
    code, out, err = accuracy(tiny_bundle, "--suite", path)
    assert (code, out) == (1, "") and err.startswith("magicvl: DocVQA i7: picture: not a picture")
    assert err.count("\n") == 1


def test_a_stopped_measurement_asks_only_what_is_left(
    accuracy: Run, tiny_bundle: Path, docvqa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = Engine.answer

    def stopping(self: Engine, pictures: Any, prompt: str, **options: Any) -> Answer:
        if len(asked) == 4:
            asked.append("stopped")
            raise KeyboardInterrupt
        asked.append(prompt)
        return ask(self, pictures, prompt, **options)

    monkeypatch.setattr(Engine, "answer", stopping)
    call = (tiny_bundle, "--suite", docvqa, "--resume", tmp_path / "kept.jsonl")
    assert accuracy(*call)[:2] == (130, "")
    code, out, _ = accuracy(*call)
    assert code == 0 and "of 6" in out
    assert [prompt.splitlines()[0] for prompt in asked] == [f"question {n}" for n in range(4)] + ["stopped"] + [
        f"question {n}" for n in range(4, 6)
    ]


@pytest.mark.slow
def test_a_killed_measurement_goes_on(tiny_bundle: Path, docvqa: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    command = [
        sys.executable,
        "-m",
        "magicvl",
        "bench",
        "accuracy",
        os.fspath(tiny_bundle),
        "--suite",
        os.fspath(docvqa),
    ]
    command += ["--threads", "1", "--resume", os.fspath(kept), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (kept.exists() and kept.read_bytes().count(b"\n") >= 1) and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = kept.read_bytes()
    assert before.count(b"\n") >= 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    whole = kept.read_bytes()
    assert done.returncode == 0, done.stderr
    assert whole.startswith(before[: before.rindex(b"\n") + 1]) and whole.count(b"\n") == 6
    assert [row["asked"] for row in json.loads(done.stdout)["scores"]] == [6, 3, 3]


def test_a_suite_without_pictures_of_the_generator_needs_no_model_of_its_own() -> None:
    """The scorers and tables import no torch."""
    modules = "scoring accuracy.benchmarks accuracy.report accuracy.ask accuracy.suites accuracy.public".split()
    code = "import importlib, sys\n" + "".join(f"importlib.import_module('magicvl.bench.{name}')\n" for name in modules)
    done = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr
    assert magicvl.DEFAULT_BUNDLE.is_dir()
