"""Measuring: of real models, and nothing about how fast they are."""

import time
from pathlib import Path

import numpy as np
import pytest

from magicvl.edge import calibrate as module
from magicvl.edge import timing
from magicvl.edge.calibrate import calibrate
from magicvl.edge.calibration import from_json
from magicvl.edge.engine import Engine
from magicvl.errors import UsageError


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast this machine is does not matter here."""
    monkeypatch.setattr(timing, "REPEAT_SECONDS", 0.0)


def test_a_bundle_is_measured_from_its_smallest_tile_to_its_largest(tiny_bundle: Path) -> None:
    found = calibrate(tiny_bundle, threads=1, clock=time.process_time)
    assert found.threads == 1 and [count for count, _ in found.trials] == [1]
    assert (found.tile[0][0], found.tile[-1][0]) == (1, 144)
    assert (found.push[0][0], found.push[-1][0]) == (1, 144)
    assert found.encode_s(144) > 0 < found.push_s(144, 0)
    assert set(found.opening) == {"JPEG", "PNG", "WEBP"}
    assert from_json(found.to_json()) == found
    if Path("/proc/self/statm").exists():
        assert found.memory is not None and 0 < found.memory.loaded <= found.memory.working


def test_the_fastest_count_is_kept(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "default_threads", lambda: 2)
    monkeypatch.setattr(module, "thread_counts", lambda: (1, 2))
    found = calibrate(tiny_bundle)
    trials = dict(found.trials)
    assert set(trials) == {1, 2} and trials[found.threads] == min(trials.values())


def test_a_count_that_cannot_be_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        calibrate(tiny_bundle, threads=0)


def test_what_stands_before_is_attended_to(tiny_bundle: Path) -> None:
    """Keys and values that were copied in change what follows, as real ones would."""
    rows = np.random.default_rng(0).standard_normal((40, 128), dtype=np.float32)
    with Engine(tiny_bundle, threads=1) as engine, engine.make_context(512, 2) as context:
        context.push_embeddings(rows)
        state = context.state(0)
        context.push_embeddings(rows[:1], logits=True)
        alone = context.logits()
        context.clear()
        context.push_embeddings(rows)
        assert context.repeat(state)
        assert context.position == 40
        context.push_embeddings(rows[:1], logits=True)
        doubled = context.logits()
        # Room for twelve times forty and one, no more.
        repeats = 0
        while context.repeat(state):
            repeats += 1
        assert repeats == 512 // 40 - 2
    # Each of the forty twice is the same average over them, but for the new token's own share.
    assert not np.array_equal(alone, doubled)
    assert np.corrcoef(alone, doubled)[0, 1] > 0.9
