"""What `plan` predicts and what `--max-seconds` allows, by the real command in real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl import cli
from magicvl.edge import calibrate
from magicvl.edge.bundle import read_bundle
from magicvl.edge.calibration import Calibration, Memory
from magicvl.edge.calibration_file import calibration_key, calibration_path, load_calibration, save_calibration
from magicvl.edge.pixels import Header
from magicvl.edge.plan import plan
from magicvl.edge.prediction import predict

MADE_UP = Calibration(
    threads=1,
    trials=((1, 1.0),),
    tile=((1, 0.1), (144, 1.0)),
    push=((1, 0.01), (144, 0.5)),
    depth=0.0,
    token=0.01,
    opening={"PNG": 0.0},
    first_encode=0.0,
    first_context=0.0,
    first_prefill=0.0,
    memory=Memory(2**26, 2**27, 1000.0),
)
"""A slow machine."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def magicvl(cache: Path, tiny_bundle: Path) -> Callable[..., Done]:
    """Runs the command in a process, with a cache folder of its own, about the tiny bundle."""

    def run(command: str, *arguments: object) -> Done:
        whole = [sys.executable, "-m", "magicvl", command, *map(str, arguments), "--model", str(tiny_bundle)]
        done = subprocess.run(
            whole,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(
    cache: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """The same in this process, which is faster."""

    def run(command: str, *arguments: object) -> Done:
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        code = cli.run([command, *map(str, arguments), "--model", str(tiny_bundle)])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@contextmanager
def cached_in(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


@pytest.fixture
def measured(cache: Path, tiny_bundle: Path) -> Calibration:
    """The cache knows a machine that is made up, for one thread."""
    with cached_in(cache):
        assert save_calibration(read_bundle(tiny_bundle).lock, 1, MADE_UP)
    return MADE_UP


@pytest.fixture
def pictures(tmp_path: Path, make_picture: Callable[[int, int], Image.Image]) -> list[Path]:
    paths = [tmp_path / "wide.png", tmp_path / "small.png"]
    for path, size in zip(paths, [(500, 300), (64, 64)], strict=True):
        make_picture(*size).save(path)
    return paths


def predicted(bundle: Path, *sizes: tuple[int, int], budget: int | None = None) -> dict[str, Any]:
    lock = read_bundle(bundle).lock
    headers = [Header(*size, "PNG") for size in sizes]
    return predict(MADE_UP, lock, headers, [plan(*size, lock.grid, budget) for size in sizes]).to_json()


def test_a_machine_is_measured_once(magicvl: Callable[..., Done], pictures: list[Path]) -> None:
    done = magicvl("plan", pictures[0], "--json", "--threads", 1)
    assert done.code == 0 and done.err.count("\n") == 1 and "measuring" in done.err
    made = json.loads(done.out)["predicted"]
    assert set(made) == {"encode_s", "context_s", "prefill_s", "token_s", "peak_mib"} and made["encode_s"] > 0
    again = magicvl("plan", pictures[0], "--json", "--threads", 1)
    assert (again.err, again.out) == ("", done.out)


def test_it_is_measured_again_where_that_is_due(
    here: Callable[..., Done],
    cache: Path,
    tiny_bundle: Path,
    measured: Calibration,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = replace(MADE_UP, token=0.5)
    monkeypatch.setattr(calibrate, "calibrate", lambda _bundle, *, threads: replace(other, threads=threads))
    lock = read_bundle(tiny_bundle).lock
    assert here("plan", pictures[0], "--threads", 1).err == ""
    assert "measuring" in here("plan", pictures[0], "--threads", 1, "--calibrate").err
    with cached_in(cache):
        assert load_calibration(lock, 1) == other
        calibration_path(calibration_key(lock, 1)).write_text("{")
    assert "measuring" in here("plan", pictures[0], "--threads", 1).err
    with cached_in(cache):
        assert load_calibration(lock, 1) == other


def test_without_prediction_nothing_is_measured(here: Callable[..., Done], cache: Path, pictures: list[Path]) -> None:
    done = here("plan", pictures[0], "--json", "--no-predict")
    assert done.code == 0 and done.err == "" and "predicted" not in json.loads(done.out)
    assert not cache.exists()


def test_a_question_that_is_known_counts(
    here: Callable[..., Done], measured: Calibration, tiny_bundle: Path, pictures: list[Path]
) -> None:
    def plan_with(*more: object) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(here("plan", pictures[0], "--json", "--threads", 1, *more).out)
        return made

    short, long = plan_with("-p", "what?")["predicted"], plan_with("-p", "what? " * 60)["predicted"]
    assert short["prefill_s"] < plan_with()["predicted"]["prefill_s"] < long["prefill_s"]
    assert short["encode_s"] == long["encode_s"]
    limits = [plan_with("-p", question, "--max-seconds", 1)["budget"] for question in ("what?", "what? " * 60)]
    assert limits[0] > limits[1]
    asked = ["-p", "what? " * 60, "--json", "--threads", 1, "--max-tokens", 1, "--max-seconds", 1]
    assert json.loads(here("ask", pictures[0], *asked).out)["images"][0]["tokens"] <= limits[1]
    done = here("plan", pictures[0], "-p", "what?", "--no-predict")
    assert (done.code, done.out) == (2, "") and "--prompt has no effect with --no-predict" in done.err


def test_several_pictures_have_a_sum(
    here: Callable[..., Done], measured: Calibration, tiny_bundle: Path, pictures: list[Path]
) -> None:
    made = json.loads(here("plan", *pictures, "--json", "--threads", 1).out)
    wide, small = (500, 300), (64, 64)
    assert [each["predicted"] for each in made["images"]] == [
        predicted(tiny_bundle, wide),
        predicted(tiny_bundle, small),
    ]
    assert made["predicted"] == predicted(tiny_bundle, wide, small)
    assert made["tokens"] == sum(each["tokens"] for each in made["images"]) == 144 + 4
    text = here("plan", *pictures, "--threads", 1).out
    assert "2 pictures together\ntokens   148\nencode   " in text and text.count("memory   ") == 3


def test_seconds_choose_the_largest_budget(
    here: Callable[..., Done], measured: Calibration, tiny_bundle: Path, pictures: list[Path]
) -> None:
    done = here("plan", *pictures, "--json", "--threads", 1, "--max-seconds", 1)
    made = json.loads(done.out)
    budget = made["budget"]
    assert done.code == 0 and 4 < budget < 144

    def took(budget: int) -> float:
        together = predicted(tiny_bundle, (500, 300), (64, 64), budget=budget)
        return float(together["encode_s"] + together["context_s"] + together["prefill_s"])

    assert took(budget) <= 1 < min(took(larger) for larger in range(budget + 1, 145) if took(larger) != took(budget))
    assert (
        made["images"]
        == json.loads(here("plan", *pictures, "--json", "--threads", 1, "--budget", budget).out)["images"]
    )
    less, full = made["images"][0], plan(500, 300, read_bundle(tiny_bundle).lock.grid)
    assert (
        done.err.count("\n") == 1 and f"{less['resized'][0]} x {less['resized'][1]} px, {less['tokens']} v" in done.err
    )
    assert f"without it {full.resized[0]} x {full.resized[1]} px, {full.tokens} v" in done.err


def test_an_answer_keeps_to_the_seconds(
    magicvl: Callable[..., Done],
    here: Callable[..., Done],
    measured: Calibration,
    tiny_bundle: Path,
    pictures: list[Path],
) -> None:
    common = ["-p", "what?", "--json", "--threads", 1, "--max-tokens", 1]
    done = magicvl("ask", pictures[0], *common, "--max-seconds", 0.8)
    assert done.code == 0 and "for --max-seconds 0.8" in done.err and "scaled down" not in done.err
    seen = json.loads(done.out)["images"][0]["tokens"]
    assert 0 < seen < 144
    budgeted = json.loads(here("ask", pictures[0], *common, "--budget", seen).out)
    assert json.loads(done.out)["answer"] == budgeted["answer"] and budgeted["images"][0]["tokens"] == seen
    enough = here("ask", pictures[0], *common, "--max-seconds", 100)
    assert json.loads(enough.out)["images"][0]["tokens"] == 144 and "px" not in enough.err


@pytest.mark.parametrize("command", [["plan"], ["ask", "-p", "x"]])
def test_seconds_that_are_too_few_are_one_line(
    here: Callable[..., Done], measured: Calibration, pictures: list[Path], command: list[str]
) -> None:
    done = here(*command, *pictures, "--threads", 1, "--max-seconds", 0.001)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "--max-seconds 0.001" in done.err and "allow more" in done.err


def test_a_bundle_that_cannot_be_measured_is_planned_without(
    tmp_path: Path, tiny_bundle: Path, pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "magicvl.json").write_bytes((tiny_bundle / "magicvl.json").read_bytes())
    common = ["plan", str(pictures[0]), "--model", str(tmp_path / "bundle")]
    with cached_in(tmp_path / "cache"):
        assert cli.run(common) == 0
        captured = capsys.readouterr()
        assert "tokens   144" in captured.out and "encode" not in captured.out
        assert "no prediction: " in captured.err and "it is not there" in captured.err
        for wanted in (["--calibrate"], ["--max-seconds", "1"], ["--threads", "1"]):
            assert cli.run([*common, *wanted]) == 1
            assert "it is not there" in capsys.readouterr().err


def test_what_cannot_be_kept_is_said(
    tmp_path: Path,
    tiny_bundle: Path,
    pictures: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibrate, "calibrate", lambda _bundle, *, threads: replace(MADE_UP, threads=threads))
    (tmp_path / "file").write_text("")
    with cached_in(tmp_path / "file"):
        assert cli.run(["plan", str(pictures[0]), "--model", str(tiny_bundle), "--threads", "1"]) == 0
    assert "can't be kept" in capsys.readouterr().err
