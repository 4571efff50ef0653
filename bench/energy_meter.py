"""An external meter's file: a CSV of times and watts, or volts and amperes, which the meter writes while we measure.

The first line names the columns; units may follow in brackets or after an underscore: `time,power (mW)`,
`timestamp;voltage_V;current_mA`. Times are seconds since 1970, ISO 8601, or seconds since the measurement began.
"""

import csv
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from magicvl.bench.energy_trace import Trace, from_watts
from magicvl.errors import EngineError, UsageError

_TIMES = {"time", "timestamp", "t", "seconds", "elapsed", "datetime", "date", "epoch"}
_WATTS = {"power", "watts", "watt", "w", "p"}
_VOLTS = {"voltage", "volts", "volt", "v", "u"}
_AMPERES = {"current", "amperes", "amps", "ampere", "amp", "a", "i"}
_SCALES = {"m": 1e-3, "u": 1e-6, "µ": 1e-6, "k": 1e3}
_EPOCH = 1e8
"""Times above this are seconds since 1970; no measurement lasts three years."""
MOST_BYTES = 2**28
CLOCK_SET = 0.5
"""Seconds by which the system's clock may be corrected while we measure."""


@dataclass(frozen=True)
class Moment:
    """The same moment on both clocks, in seconds."""

    time: float
    """time.monotonic"""
    epoch: float
    """time.time"""


class Meter:
    """A source of energy readings: it reads the clocks as it goes, and the file at the end."""

    name = "meter"
    period = 1.0
    """Seconds between readings of the clocks. The file has its own."""

    def __init__(self, path: Path, offset: float = 0.0) -> None:
        """`offset` is what the meter's clock is ahead of this machine's, in seconds. Raises UsageError
        where the file is not there yet: after minutes of measuring it would be too late to say so.
        """
        if not isfinite(offset):
            raise UsageError(f"--meter-offset {offset}: it must be a number of seconds")
        if not path.is_file():
            raise UsageError(f"--meter {path}: no such file; let the meter write it before the measurement begins")
        self._path, self._offset = path, offset
        self.about = f"meter {path.name}"

    def read(self) -> Moment:
        """Both clocks now."""
        return Moment(time.monotonic(), time.time())

    def trace(self, moments: Sequence[Moment]) -> Trace:
        """What the meter saw. Raises EngineError where a clock was set meanwhile, UsageError for a bad file."""
        first, last = moments[0], moments[-1]
        shift = (last.epoch - first.epoch) - (last.time - first.time)
        if abs(shift) > CLOCK_SET:
            raise EngineError(
                f"the system's clock was set by {shift:.1f} s while measuring, so the meter's times say nothing: "
                f"measure again with the clock left alone"
            )
        watts = read_meter(self._path)
        since = first.epoch if watts and watts[0][0] > _EPOCH else 0.0
        trace = from_watts([(first.time + moment - self._offset - since, power) for moment, power in watts])
        if trace.times[0] > last.time or trace.times[-1] < first.time:
            raise UsageError(
                f"{self._path}: it ends {first.time - trace.times[-1]:.0f} s before or begins "
                f"{trace.times[0] - last.time:.0f} s after the measurement: set --meter-offset"
            )
        return trace


def read_meter(path: Path) -> list[tuple[float, float]]:
    """Times and watts of a meter's file, times as the file has them. Raises UsageError, with the line's number."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: {path.stat().st_size:,} bytes, at most {MOST_BYTES:,} are read")
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not rows:
        raise UsageError(f"{path}: it is empty; the meter writes its first line with the names of columns")
    delimiter = max(",;\t", key=rows[0][1].count)
    columns = _Columns.of(path, next(csv.reader([rows[0][1]], delimiter=delimiter)))
    found: list[tuple[float, float]] = []
    for number, line in rows[1:]:
        cells = next(csv.reader([line], delimiter=delimiter))
        try:
            moment, watts = columns.values([cell.replace(",", ".") if delimiter == ";" else cell for cell in cells])
        except (ValueError, IndexError):
            # A meter that still writes leaves half a line at the end.
            if number == rows[-1][0]:
                break
            raise UsageError(f"{path}: line {number} has no time and power: {line[:60]!r}") from None
        if found and moment <= found[-1][0]:
            raise UsageError(f"{path}: line {number} is {found[-1][0] - moment:.3g} s older than the one before it")
        found.append((moment, watts))
    return found


@dataclass(frozen=True)
class _Columns:
    """Which cells of a line are meant."""

    time: int
    factors: tuple[tuple[int, float], ...]
    """Cells and scales whose product is watts."""

    @classmethod
    def of(cls, path: Path, header: Sequence[str]) -> "_Columns":
        names = [_name_and_scale(cell) for cell in header]

        def place(wanted: set[str]) -> tuple[int, float] | None:
            return next(((i, scale) for i, (name, scale) in enumerate(names) if name in wanted), None)

        moment, watts, volts, amperes = (place(wanted) for wanted in (_TIMES, _WATTS, _VOLTS, _AMPERES))
        if moment is not None and watts is not None:
            return cls(moment[0], (watts,))
        if moment is not None and volts is not None and amperes is not None:
            return cls(moment[0], (volts, amperes))
        raise UsageError(
            f"{path}: columns {', '.join(header)[:80]}: it needs time and power, or time, voltage and current"
        )

    def values(self, cells: Sequence[str]) -> tuple[float, float]:
        watts = 1.0
        for place, scale in self.factors:
            watts *= float(cells[place]) * scale
        moment = _seconds(cells[self.time])
        if not (isfinite(watts) and isfinite(moment)):
            raise ValueError("no finite number")
        return moment, watts


def _name_and_scale(cell: str) -> tuple[str, float]:
    """`Current [mA]`, `current_mA` and `mA` are the current in thousandths."""
    words = [word for word in re.split(r"[\s_()\[\]/]+", cell.strip()) if word]
    if not words:
        return "", 1.0
    unit = words[-1]
    scale = _SCALES.get(unit[0], 1.0) if len(unit) == 2 and unit[1].lower() in "wva" else 1.0
    name = words[0] if len(words) > 1 or scale == 1.0 else unit[1]
    return name.lower(), scale


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip()).timestamp()
