"""The battery as Android tells apps: `termux-battery-status` of the package termux-api, one JSON object a call.

Apps may not read /sys/class/power_supply on most phones. A call starts a process and takes tenths of a second, so it
is made seldom; what it draws itself is in the idle baseline too.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from magicvl.bench.energy_battery import Reading, battery_trace
from magicvl.bench.energy_trace import Trace
from magicvl.errors import EngineError

PROGRAM = "termux-battery-status"
PATIENCE = 15.0
"""Seconds that a call may take; without the app beside the package it waits for ever."""


class TermuxBattery:
    """A source of energy readings."""

    name = "termux"
    about = f"the battery ({PROGRAM}): the whole device"
    period = 2.0
    """Seconds between readings."""

    def __init__(self, program: str) -> None:
        self._program = program

    def read(self) -> Reading:
        """What the program says now. Raises EngineError where it says nothing."""
        begun = time.monotonic()
        try:
            done = subprocess.run([self._program], capture_output=True, timeout=PATIENCE, check=False)
            said = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"{PROGRAM} says nothing for {PATIENCE:.0f} s: install the app Termux:API beside the package termux-api"
            ) from None
        except (OSError, ValueError) as error:
            raise EngineError(f"{PROGRAM} gives no JSON ({error}): update termux-api, or take --source cpu") from None
        if not isinstance(said, dict):
            raise EngineError(f"{PROGRAM} gives no JSON object: update termux-api, or take --source cpu")
        # It was read somewhere between the call and its end.
        return reading_of(said, (begun + time.monotonic()) / 2)

    def trace(self, readings: Sequence[Reading]) -> Trace:
        """What was drawn."""
        return battery_trace(readings)


def reading_of(said: dict[str, Any], moment: float) -> Reading:
    """A reading of the object that the program prints; some fields are numbers in one version and texts in another."""
    plugged = str(said.get("plugged", "UNPLUGGED"))
    status = str(said.get("status", "")).upper()
    # "energy" is not taken: devices that have it are rare, and give it in several units.
    return Reading(
        time=moment,
        current=_whole(said.get("current")),
        voltage=_whole(said.get("voltage")),
        charge=_whole(said.get("charge_counter")),
        charging=plugged != "UNPLUGGED" or status in {"CHARGING", "FULL", "NOT_CHARGING"},
        celsius=_number(said.get("temperature")),
    )


def find_termux() -> TermuxBattery | None:
    """The program, where it is installed."""
    program = shutil.which(PROGRAM)
    return None if program is None else TermuxBattery(program)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    number = _number(value)
    # Android says the smallest of all integers where a device has no such property.
    return None if number is None or number <= -(2**31) else round(number)
