"""The battery as Linux and Android show it: a folder of small files under /sys/class/power_supply."""

import time
from collections.abc import Sequence
from pathlib import Path

from magicvl.bench.energy_battery import Reading, battery_trace
from magicvl.bench.energy_trace import Trace

SUPPLIES = Path("/sys/class/power_supply")
_CHARGER_THERE = {"charging", "full", "not charging"}
"""What `status` says with a charger connected; with it part of the power comes past the battery."""

_CHARGERS = ("mains", "usb", "wireless")
"""How the types of those begin that give power; a phone lists its gauge and its ports beside them."""


class SysfsBattery:
    """A source of energy readings."""

    name = "battery"
    period = 0.25
    """Seconds between readings. Most gauges renew theirs every 0.25 to 5 s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = f"the battery ({folder.name}): the whole device"

    def read(self) -> Reading:
        """What the files say now."""
        charge = self._number("charge_counter")
        return Reading(
            time=time.monotonic(),
            current=self._number("current_now"),
            voltage=self._number("voltage_now") or self._number("batt_vol"),
            power=self._number("power_now"),
            charge=self._number("charge_now") if charge is None else charge,
            energy=self._number("energy_now"),
            charging=self._charging(),
            celsius=_tenths(self._number("temp")),
        )

    def trace(self, readings: Sequence[Reading]) -> Trace:
        """What was drawn."""
        return battery_trace(readings)

    def _charging(self) -> bool:
        if _text(self.folder / "status").lower() in _CHARGER_THERE:
            return True
        supplies = self.folder.parent.iterdir()
        chargers = (each for each in supplies if _text(each / "type").lower().startswith(_CHARGERS))
        return any(_text(each / "online") not in {"", "0"} for each in chargers)

    def _number(self, name: str) -> int | None:
        try:
            return int(_text(self.folder / name))
        except ValueError:
            return None


def find_battery(supplies: Path = SUPPLIES) -> SysfsBattery | None:
    """The device's own battery, where its readings may be read; not that of a mouse."""
    try:
        folders = sorted(supplies.iterdir())
    except OSError:
        return None
    for folder in folders:
        if _text(folder / "type").lower() != "battery" or _text(folder / "scope").lower() == "device":
            continue
        found = SysfsBattery(folder)
        reading = found.read()
        if (reading.power or reading.current is not None or reading.charge or reading.energy) and (
            reading.voltage or reading.power or reading.energy
        ):
            return found
    return None


def _tenths(value: int | None) -> float | None:
    """The kernel gives tenths of a degree; some drivers thousandths."""
    if value is None:
        return None
    return value / 1000 if abs(value) > 2000 else value / 10


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
