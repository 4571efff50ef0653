"""The processor's own counters of x86 machines (RAPL), as the kernel's powercap folder shows them.

/sys/class/powercap/intel-rapl:0      package-0, of which intel-rapl:0:0 (core) and :1 (uncore) are parts
                       intel-rapl:0:2 dram, beside the package
                       intel-rapl:1   package-1, or psys: all of them together once more, so never counted
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from magicvl.bench.energy_trace import Trace, from_counter
from magicvl.errors import EngineError

POWERCAP = Path("/sys/class/powercap")
_THERMAL = Path("/sys/class/thermal")


@dataclass(frozen=True)
class RaplReading:
    """Counters at a moment."""

    time: float
    microjoules: tuple[int, ...]
    celsius: float | None


class Rapl:
    """A source of energy readings."""

    name = "rapl"
    period = 0.05
    """Seconds between readings; the counters move every millisecond."""

    def __init__(self, zones: Sequence[Path], thermal: Path = _THERMAL) -> None:
        """`zones` are folders that don't overlap. Raises EngineError where one lacks its range."""
        self._zones = list(zones)
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._thermal = thermal
        names = ", ".join(_text(zone / "name") for zone in zones)
        self.about = f"RAPL {names}: the processor{' and its memory' if 'dram' in names else ''}, not the whole machine"

    def read(self) -> RaplReading:
        """The counters now."""
        found = tuple(_number(zone / "energy_uj") for zone in self._zones)
        return RaplReading(time.monotonic(), found, _celsius(self._thermal))

    def trace(self, readings: Sequence[RaplReading]) -> Trace:
        """What was drawn; a counter that fell has passed its end."""
        joules, drawn = [(readings[0].time, 0.0)] if readings else [], 0.0
        for before, after in pairwise(readings):
            for old, new, most in zip(before.microjoules, after.microjoules, self._ranges, strict=True):
                drawn += (new - old if new >= old else new + most - old) / 1e6
            joules.append((after.time, drawn))
        trace = from_counter(joules)
        celsius = tuple((each.time, each.celsius) for each in readings if each.celsius is not None)
        return Trace(trace.times, trace.joules, trace.step, celsius=celsius)


def rapl_zones(powercap: Path = POWERCAP) -> list[Path]:
    """Packages, and memory where it is counted beside them; none twice."""
    zones = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        name = _text(zone / "name")
        if name.startswith("package-") or name == "dram":
            zones.append(zone)
    return zones


def find_rapl(powercap: Path = POWERCAP) -> Rapl | None:
    """The counters of this machine, None where it has none. Raises EngineError where they may not be read."""
    zones = rapl_zones(powercap)
    if not zones:
        return None
    if refused := next((zone for zone in zones if not os.access(zone / "energy_uj", os.R_OK)), None):
        raise EngineError(
            f"{refused / 'energy_uj'} may only be read by root: sudo chmod a+r {powercap}/intel-rapl:*/energy_uj "
            f"allows it until the next start, or take --source cpu"
        )
    return Rapl(zones)


def _celsius(thermal: Path) -> float | None:
    """The processor's temperature, or the highest of all zones where none is called so."""
    found = {
        zone: int(text) / 1000
        for zone in thermal.glob("thermal_zone*")
        if (text := _text(zone / "temp")).lstrip("-").isdecimal()
    }
    package = [degrees for zone, degrees in found.items() if _text(zone / "type") == "x86_pkg_temp"]
    return max(package or found.values(), default=None)


def _number(path: Path) -> int:
    text = _text(path)
    if not text.isdecimal():
        raise EngineError(f"{path} holds no number: take another --source, or --source cpu")
    return int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
