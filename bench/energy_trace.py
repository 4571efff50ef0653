"""What was drawn over time: joules since the first reading, whatever the source gave them as."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

import numpy as np

from magicvl.errors import EngineError

GAP = 5.0
"""A pause of so many usual intervals between two readings of power is a gap: what was drawn in it is not known."""
ENOUGH = 5
"""A stretch shorter than so many of the source's steps has no number of its own."""
COVERED = 0.8
"""Share of a stretch that must lie between the first reading and the last; the rest is taken to be like it."""


@dataclass(frozen=True)
class Trace:
    """Readings in order of time; seconds are those of time.monotonic."""

    times: tuple[float, ...]
    joules: tuple[float, ...]
    """Drawn since the first time."""
    step: float
    """Usual seconds between two readings that differ: nothing shorter can be told apart."""
    gaps: tuple[tuple[float, float], ...] = ()
    charging: tuple[float, ...] = ()
    """When a charger was seen: what was drawn from it is in no reading."""
    celsius: tuple[tuple[float, float], ...] = ()
    """Times and temperatures."""
    notes: tuple[str, ...] = ()
    """What was found odd in the readings, and what was made of it."""

    def between(self, begin: float, end: float) -> float | None:
        """Joules drawn from `begin` to `end`; None where the readings cannot tell."""
        covered = min(end, self.times[-1]) - max(begin, self.times[0])
        if covered < COVERED * (end - begin) or end - begin < ENOUGH * self.step:
            return None
        if sum(begin <= time <= end for time in self.times) < ENOUGH - 1:
            return None
        if any(left < end and right > begin for left, right in self.gaps):
            return None
        first, last = np.interp([begin, end], self.times, self.joules)
        return float(last - first) * (end - begin) / covered

    def power(self) -> list[tuple[float, float]]:
        """Times and mean watts between readings."""
        return [
            ((left + right) / 2, (after - before) / (right - left))
            for (left, before), (right, after) in pairwise(zip(self.times, self.joules, strict=True))
            if right > left
        ]


def from_watts(readings: Sequence[tuple[float, float]], **more: tuple[str, ...]) -> Trace:
    """A trace of times and watts. Raises EngineError where there are fewer than two, or their times go back."""
    times, watts = _columns(readings)
    pauses = [right - left for left, right in pairwise(times)]
    drawn = [pause * (one + other) / 2 for pause, (one, other) in zip(pauses, pairwise(watts), strict=True)]
    usual = median(pauses)
    gaps = tuple((left, right) for left, right in pairwise(times) if right - left > GAP * usual)
    # A steady reading is no stuck one: power may be steady.
    moved = [time for (_, before), (time, after) in pairwise(readings) if after != before]
    step = max(usual, median(right - left for left, right in pairwise(moved)) if len(moved) > 2 else usual)
    return Trace(tuple(times), tuple(accumulate(drawn, initial=0.0)), step, gaps, notes=more.get("notes", ()))


def from_counter(readings: Sequence[tuple[float, float]], **more: tuple[str, ...]) -> Trace:
    """A trace of times and a counter of joules that rises as they are drawn.

    Where it stands still between two readings, what it says is of the last time that it moved. Raises EngineError
    where it never moves, where there are fewer than two readings, or where their times go back.
    """
    times, values = _columns(readings)
    moved = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1])]
    if len(moved) < 2:
        raise EngineError(
            f"the energy counter stood at {values[0]:,.6g} J for {times[-1] - times[0]:.0f} s: it is stuck"
        )
    steps = [times[right] - times[left] for left, right in pairwise(moved)]
    kept = tuple(times[i] for i in moved)
    return Trace(kept, tuple(values[i] - values[0] for i in moved), median(steps), notes=more.get("notes", ()))


def _columns(readings: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    times, values = [time for time, _ in readings], [value for _, value in readings]
    if len(readings) < 2:
        raise EngineError(f"{len(readings)} readings of energy: at least 2 are needed; measure for longer")
    for left, right in pairwise(times):
        if right <= left:
            raise EngineError(
                f"a reading of energy is {left - right:.3g} s older than the one before it: its clock was set"
            )
    return times, values
