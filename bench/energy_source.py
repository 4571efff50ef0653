"""Where energy is read: an external meter, the processor's counters, the battery; none of these on many machines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from magicvl.bench.energy_meter import Meter
from magicvl.bench.energy_rapl import find_rapl
from magicvl.bench.energy_sysfs_battery import find_battery
from magicvl.bench.energy_termux import find_termux
from magicvl.bench.energy_trace import Trace
from magicvl.errors import EngineError, UsageError


class Source(Protocol):
    """Something that can be read again and again, and what it said turned into joules at the end."""

    @property
    def name(self) -> str:
        """A key of SOURCES, or meter."""

    @property
    def about(self) -> str:
        """What it measures."""

    @property
    def period(self) -> float:
        """Seconds between readings."""

    def read(self) -> Any:
        """What it says now. Raises EngineError."""

    def trace(self, readings: Sequence[Any]) -> Trace:
        """Joules of all that `read` gave. Raises EngineError, UsageError."""


SOURCES: dict[str, Callable[[], Source | None]] = {
    "rapl": find_rapl,
    "battery": find_battery,
    "termux": find_termux,
}
"""In the order in which they are looked for: the first one that is there is taken."""


def find_source(name: str = "auto", meter: Path | None = None, offset: float = 0.0) -> tuple[Source | None, list[str]]:
    """The source of that name, and what there is to say about those that can't be read; None for CPU seconds alone.

    `name` is auto, cpu or a key of SOURCES; a meter's file stands above it. Raises UsageError, and EngineError where
    the one that is named can't be read.
    """
    if name not in {"auto", "cpu", *SOURCES}:
        raise UsageError(f"--source {name}: there are auto, cpu, {', '.join(SOURCES)}")
    if meter is not None:
        if name != "auto":
            raise UsageError(f"--source {name} has no effect with --meter {meter}: give one of them")
        return Meter(meter, offset), []
    if offset:
        raise UsageError(f"--meter-offset {offset:g} has no effect without --meter")
    if name == "cpu":
        return None, []
    notes: list[str] = []
    for each, find in SOURCES.items():
        if name not in {"auto", each}:
            continue
        try:
            found = find()
        except EngineError as error:
            if name != "auto":
                raise
            notes.append(str(error))
            continue
        if found is not None:
            return found, notes
    if name != "auto":
        raise EngineError(f"--source {name}: this machine offers none; take --source auto or cpu")
    return None, notes
