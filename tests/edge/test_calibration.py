"""A machine's numbers: lines between points, and the file that keeps them."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl import DEFAULT_BUNDLE
from magicvl.edge import calibration_file
from magicvl.edge.bundle import Lock, read_bundle
from magicvl.edge.calibration import Calibration, Memory, between, from_json, rising
from magicvl.edge.calibration_file import (
    best_threads,
    calibration_key,
    calibration_path,
    load_calibration,
    save_calibration,
)
from magicvl.edge.threads import default_threads, thread_counts

patient = settings(deadline=None)
SECONDS = st.floats(0, 1e3, allow_subnormal=False)
POINTS = st.dictionaries(st.integers(1, 4096), SECONDS, min_size=1, max_size=8).map(lambda found: tuple(found.items()))
COUNT = thread_counts()[0]


def calibration(**fields: Any) -> Calibration:
    made = Calibration(
        threads=COUNT,
        trials=((COUNT, 0.3),),
        tile=((1, 0.01), (36, 0.05), (144, 0.25)),
        push=((1, 0.002), (144, 0.05)),
        depth=1e-7,
        token=0.003,
        opening={"JPEG": 0.01, "PNG": 0.04},
        first_encode=0.02,
        first_context=0.03,
        first_prefill=0.01,
        memory=Memory(60 * 2**20, 80 * 2**20, 6000.0),
    )
    return replace(made, **fields)


@pytest.fixture
def lock() -> Lock:
    return read_bundle(DEFAULT_BUNDLE).lock


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@patient
@given(st.floats(0, 1), st.floats(0, 1e-2), st.floats(0, 1e-5), st.integers(1, 144))
def test_a_known_cost_is_found_again(a: float, b: float, c: float, tokens: int) -> None:
    """A tile's cost is a line and attention's square; five points are enough for it."""

    def cost(tokens: int) -> float:
        return a + b * tokens + c * tokens**2

    points = rising([(count, cost(count)) for count in (1, 16, 36, 64, 100, 144)])
    # Between two points a chord lies above a parabola by a quarter of their distance's square at most.
    assert cost(tokens) * (1 - 1e-9) <= between(points, tokens) <= (cost(tokens) + c * 44**2 / 4) * (1 + 1e-9)


@patient
@given(POINTS, st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_tokens_never_take_less(measured: tuple[tuple[int, float], ...], one: int, other: int) -> None:
    points = rising(measured)
    low, high = sorted((one, other))
    assert 0 <= between(points, low) <= between(points, high) * (1 + 1e-9)


@patient
@given(POINTS)
def test_points_are_met(measured: tuple[tuple[int, float], ...]) -> None:
    points = rising(measured)
    assert [between(points, tokens) for tokens, _ in points] == pytest.approx([seconds for _, seconds in points])
    assert all(dict(points)[tokens] >= seconds for tokens, seconds in measured)


def test_a_batch_takes_longer_the_more_stands_before_it() -> None:
    made = calibration()
    assert made.push_s(144, 1000) - made.push_s(144, 0) == pytest.approx(144 * 1000 * made.depth)
    assert made.opening_s(1000, 2000, "JPEG") == pytest.approx(2 * 0.01)
    assert made.opening_s(1000, 1000, None) == made.opening_s(1000, 1000, "GIF") == pytest.approx(0.04)


@pytest.mark.parametrize(
    "fields",
    [
        {"tile": ()},
        {"tile": ((2, 1.0), (1, 2.0))},
        {"push": ((1, 2.0), (2, 1.0))},
        {"tile": ((0, 1.0),)},
        {"depth": -1.0},
        {"token": float("nan")},
        {"first_prefill": float("inf")},
        {"opening": {}},
        {"threads": COUNT + 1},
        {"memory": Memory(1, 1, -1.0)},
    ],
)
def test_what_cannot_have_been_measured_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"number|order|tried|format"):
        calibration(**fields)


def test_a_file_gives_back_what_was_saved(lock: Lock) -> None:
    for made in (calibration(), calibration(memory=None)):
        assert from_json(json.loads(json.dumps(made.to_json()))) == made
        assert save_calibration(lock, None, made)
        assert load_calibration(lock) == made
    path = calibration_path(calibration_key(lock, None))
    assert list(path.parent.iterdir()) == [path]


def test_the_fastest_threads_are_taken(lock: Lock) -> None:
    assert best_threads(lock) == default_threads()
    save_calibration(lock, None, calibration())
    assert best_threads(lock) == COUNT
    assert load_calibration(lock, COUNT) is None
    save_calibration(lock, 7, calibration())
    assert load_calibration(lock, 7) is None, "a file that says other threads than it was asked for"
    made = calibration(threads=7, trials=((7, 1.0),))
    save_calibration(lock, 7, made)
    assert load_calibration(lock, 7) == made
    # Nobody measured a count that is no candidate.
    save_calibration(lock, None, calibration(threads=10**6, trials=((10**6, 1.0),)))
    assert best_threads(lock) == default_threads()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"key": {}}',
        b"x" * 2**17,
    ],
)
def test_a_damaged_file_is_as_good_as_none(lock: Lock, data: bytes) -> None:
    save_calibration(lock, None, calibration())
    calibration_path(calibration_key(lock, None)).write_bytes(data)
    assert load_calibration(lock) is None
    assert best_threads(lock) == default_threads()
    assert save_calibration(lock, None, calibration()) and load_calibration(lock) == calibration()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threads", 0), ("threads", True), ("threads", "1"), ("trials", []), ("tile", [[1, -1]]), ("tile", 3),
        ("tile", [[1]]), ("push", [["1", 2]]), ("depth", None), ("token", "x"), ("opening", []),
        ("opening", {"PNG": []}), ("first_encode", 1e999), ("memory", {"loaded": 1}), ("memory", [1]),
        ("memory", asdict(Memory(1, 1, 1)) | {"token": "1"}),
    ],
)  # fmt: skip
def test_a_foreign_value_is_as_good_as_none(lock: Lock, field: str, value: object) -> None:
    save_calibration(lock, None, calibration())
    path = calibration_path(calibration_key(lock, None))
    data = json.loads(path.read_text())
    data["calibration"][field] = value
    path.write_text(json.dumps(data))
    assert load_calibration(lock) is None


def test_a_file_of_another_bundle_is_not_taken(lock: Lock) -> None:
    save_calibration(lock, None, calibration())
    files = lock.files | {"llm": replace(lock.files["llm"], sha256="0" * 64)}
    other = replace(lock, files=files)
    assert load_calibration(other) is None
    calibration_path(calibration_key(lock, None)).rename(calibration_path(calibration_key(other, None)))
    assert load_calibration(other) is None


def test_another_machine_or_library_measures_its_own(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_calibration(lock, None, calibration())
    with monkeypatch.context() as other:
        other.setattr(calibration_file, "processor", lambda: "another")
        assert load_calibration(lock) is None
    with monkeypatch.context() as other:
        (tmp_path / "libllama.so").write_bytes(b"another")
        other.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
        assert load_calibration(lock) is None
    assert load_calibration(lock) is not None


def test_a_folder_that_cannot_be_written_is_no_error(
    lock: Lock, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_cache / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache / "file"))
    assert not save_calibration(lock, None, calibration())
    assert load_calibration(lock) is None
    assert os.listdir(own_cache) == ["file"]
