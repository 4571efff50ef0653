"""A battery's readings as power, with what vendors do to signs and units undone.

The kernel's documents say microamperes, negative while discharging, and microvolts; Android says the same. In the
field three signs are found (negative, positive, always positive) and two units (micro and milli). Neither can be told
from one reading, so they are judged over a whole run, on a device that is awake and computing:

current   a magnitude below 20,000 at its highest is milliamperes: 20 mA run no busy phone, and 20 A no battery
voltage   below 100,000 it is millivolts
charge    below 20,000 it is milliampere-hours
sign      that of most readings is discharge; the status says whether a charger is there, the sign does not
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from magicvl.bench.energy_trace import Trace, from_counter, from_watts
from magicvl.errors import EngineError

MILLI_CURRENT = 20_000
MILLI_VOLTAGE = 100_000
MILLI_CHARGE = 20_000
AGREE = 1.4
"""Current and charge counter are called odd where one says so many times as much as the other."""


@dataclass(frozen=True)
class Reading:
    """What a battery says at a moment, in its own units; None for what it does not say."""

    time: float
    """time.monotonic, in seconds."""
    current: int | None = None
    voltage: int | None = None
    power: int | None = None
    """Microwatts."""
    charge: int | None = None
    """What is left: µAh or mAh."""
    energy: int | None = None
    """What is left, in µWh."""
    charging: bool = False
    """Whether a charger is connected, or the battery being charged."""
    celsius: float | None = None


def battery_trace(readings: Sequence[Reading]) -> Trace:
    """What was drawn from the battery.

    By power or by current and voltage where they are given and move; else by what is left of energy or charge. Raises
    EngineError where nothing of this is given, or all of it stands still.
    """
    trace = _by_power(readings) or _by_left(readings)
    if trace is None:
        raise EngineError("the battery gives neither current nor what is left of its charge: take --source cpu")
    return replace(
        trace,
        charging=tuple(each.time for each in readings if each.charging),
        celsius=tuple((each.time, each.celsius) for each in readings if each.celsius is not None),
    )


def _by_power(readings: Sequence[Reading]) -> Trace | None:
    powers = [(each.time, abs(each.power) / 1e6) for each in readings if each.power]
    if len(powers) > 1:
        return from_watts(powers)
    found = [each for each in readings if each.current is not None and each.voltage]
    currents = [each.current or 0 for each in found]
    # Zero throughout is what gauges without a current sense say, and one number throughout a stuck one.
    if len(set(currents)) < 2:
        return None
    amperes = 1e-3 if max(map(abs, currents)) < MILLI_CURRENT else 1e-6
    sign = -1 if median(currents) < 0 else 1
    watts = [(each.time, sign * (each.current or 0) * amperes * _volts(each.voltage or 0)) for each in found]
    trace = from_watts(watts)
    return replace(trace, notes=(*_unit_notes(currents, amperes), *_disagreement(trace, readings)))


def _by_left(readings: Sequence[Reading]) -> Trace | None:
    """By what is left, which falls as it is drawn."""
    energies = [(each.time, -each.energy * 3.6e-3) for each in readings if each.energy]
    charges = _charges(readings)
    if len({joules for _, joules in energies}) > 1 or (energies and not charges):
        return from_counter(energies)
    return from_counter(charges, notes=("by the charge that is left",)) if charges else None


def _charges(readings: Sequence[Reading]) -> list[tuple[float, float]]:
    """Times and joules drawn, by the charge that is left and the voltage at which it went."""
    found = [each for each in readings if each.charge and each.voltage]
    if len(found) < 2:
        return []
    coulombs = 3.6 if max(each.charge or 0 for each in found) < MILLI_CHARGE else 3.6e-3
    drawn, joules = 0.0, [(found[0].time, 0.0)]
    for before, after in pairwise(found):
        volts = (_volts(before.voltage or 0) + _volts(after.voltage or 0)) / 2
        drawn += ((before.charge or 0) - (after.charge or 0)) * coulombs * volts
        joules.append((after.time, drawn))
    return joules


def _volts(voltage: int) -> float:
    return voltage * (1e-3 if voltage < MILLI_VOLTAGE else 1e-6)


def _unit_notes(currents: Sequence[int], amperes: float) -> list[str]:
    highest = max(map(abs, currents))
    return [f"the current is {highest:,} at most: taken for milliamperes"] if amperes == 1e-3 else []


def _disagreement(trace: Trace, readings: Sequence[Reading]) -> list[str]:
    """Says so where the charge counter moved enough to judge the current by, and judges otherwise."""
    charges = _charges(readings)
    if len({joules for _, joules in charges}) < 10:
        return []
    by_current, by_charge = trace.joules[-1], charges[-1][1]
    ratio = by_charge / by_current if by_current > 0 else 0.0
    if 1 / AGREE < ratio < AGREE:
        return []
    return [f"the charge counter fell by {ratio:.2g} times what the current adds up to: one of them is off"]
