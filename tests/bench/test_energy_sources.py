"""What vendors' batteries, RAPL and meters say, as folders and files that we wrote after their formats."""

import json
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.bench import energy_rapl
from magicvl.bench.energy_battery import Reading, battery_trace
from magicvl.bench.energy_meter import Meter, Moment, read_meter
from magicvl.bench.energy_rapl import Rapl, RaplReading, find_rapl, rapl_zones
from magicvl.bench.energy_source import SOURCES, find_source
from magicvl.bench.energy_sysfs_battery import SysfsBattery, find_battery
from magicvl.bench.energy_termux import TermuxBattery, find_termux, reading_of
from magicvl.bench.energy_trace import Trace, from_counter, from_watts
from magicvl.errors import EngineError, UsageError

VOLTS = 3.85
LOAD = [0.4] * 20 + [1.6] * 40 + [0.4] * 20
"""Amperes, one number each half second: 10 s of idle, 20 s of work, 10 s of idle."""
WORK = (10.0, 30.0)
JOULES = 1.6 * VOLTS * 20


@dataclass(frozen=True)
class Vendor:
    """How a phone's kernel spells one and the same battery."""

    name: str
    folder: str
    current: float
    """Of an ampere of discharge, in the file's unit and sign."""
    voltage: float
    """Of a volt."""
    charge: float
    """Of an ampere-hour."""
    charge_file: str = "charge_counter"
    temp: float = 10
    status: str = "Discharging"


VENDORS = [
    Vendor("Pixel: µA, negative while discharging, µAh", "battery", -1e6, 1e6, 1e6),
    Vendor("Samsung: mA, positive", "battery", 1e3, 1e6, 1e6),
    Vendor("Xiaomi on Qualcomm: µA, positive while discharging", "battery", 1e6, 1e6, 1e6),
    Vendor("MediaTek: mV, mA, negative, mAh", "battery", -1e3, 1e3, 1e3),
    Vendor("older Huawei: mA, negative, µV, millidegrees", "Battery", -1e3, 1e6, 1e6, temp=1000),
    Vendor("a laptop's ACPI battery: µA positive, charge_now", "BAT0", 1e6, 1e6, 1e6, charge_file="charge_now"),
]


class Tree:
    """A /sys/class/power_supply that changes."""

    def __init__(self, root: Path, vendor: Vendor, *, leave_out: Iterable[str] = ()) -> None:
        self.vendor, self.left_out, self.supplies = vendor, set(leave_out), root
        self.folder = root / vendor.folder
        self.folder.mkdir(parents=True)
        self.put("type", "Battery")
        self.put("capacity", "71")
        (root / "usb").mkdir()
        self.plug(False)
        # A mouse's battery comes first in the alphabet, and is none of ours.
        (root / "a_mouse").mkdir()
        for name, text in {"type": "Battery", "scope": "Device", "voltage_now": "1", "current_now": "7"}.items():
            (root / "a_mouse" / name).write_text(text)

    def put(self, name: str, text: object) -> None:
        if name not in self.left_out:
            (self.folder / name).write_text(f"{text}\n")

    def plug(self, there: bool) -> None:
        (self.supplies / "usb" / "type").write_text("USB\n")
        (self.supplies / "usb" / "online").write_text(f"{int(there)}\n")

    def set(self, amperes: float, left: float, celsius: float = 30.0, status: str | None = None) -> None:
        """What is drawn now, and what is left in ampere-hours."""
        self.put("current_now", round(amperes * self.vendor.current))
        self.put("voltage_now", round(VOLTS * self.vendor.voltage))
        self.put(self.vendor.charge_file, round(left * self.vendor.charge))
        self.put("temp", round(celsius * self.vendor.temp))
        self.put("status", status or self.vendor.status)

    def record(self, load: Sequence[float] = LOAD, every: float = 0.5) -> list[Reading]:
        """Readings of the files through a load, as if `every` seconds passed between them."""
        source = find_battery(self.supplies) or self.first(load)
        left, readings = 3.0, []
        for i, amperes in enumerate(load):
            self.set(amperes, left, 30 + i / 10)
            readings.append(replace(source.read(), time=100 + i * every))
            left -= amperes * every / 3600
        return readings

    def first(self, load: Sequence[float]) -> SysfsBattery:
        self.set(load[0], 3.0)
        found = find_battery(self.supplies)
        assert found is not None
        return found


def work(trace: Trace, every: float = 0.5) -> float | None:
    """Joules of the work, and nothing of the idle time around it."""
    return trace.between(100 + WORK[0] + every, 100 + WORK[1] - every)


@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.name for vendor in VENDORS])
def test_every_vendor_gives_the_same_joules(tmp_path: Path, vendor: Vendor) -> None:
    trace = battery_trace(Tree(tmp_path, vendor).record())
    assert work(trace) == pytest.approx(JOULES * 19 / 20, rel=0.02)
    assert trace.step == pytest.approx(0.5) and not trace.charging and not trace.gaps
    assert trace.celsius[0][1] == pytest.approx(30) and trace.celsius[-1][1] == pytest.approx(37.9)
    assert any("milliamperes" in note for note in trace.notes) == (abs(vendor.current) == 1e3)
    assert not any("one of them is off" in note for note in trace.notes)


@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.name for vendor in VENDORS])
def test_without_a_current_the_charge_that_is_left_tells(tmp_path: Path, vendor: Vendor) -> None:
    trace = battery_trace(Tree(tmp_path, vendor, leave_out=["current_now"]).record(every=20))
    found = trace.between(100 + 400, 100 + 1200)
    # A counter of whole mAh is off by two of its steps at most, 28 J.
    assert found == pytest.approx(40 * JOULES, abs=1 if vendor.charge > 1e3 else 28)
    assert trace.notes == ("by the charge that is left",)


def test_a_laptop_says_watts(tmp_path: Path) -> None:
    tree = Tree(tmp_path, VENDORS[-1], leave_out=["current_now", "charge_now"])
    readings = []
    for i, amperes in enumerate(LOAD):
        tree.put("power_now", round(amperes * VOLTS * 1e6))
        tree.put("energy_now", 40_000_000)
        found = find_battery(tmp_path)
        assert found is not None
        readings.append(replace(found.read(), time=100 + i / 2))
    assert work(battery_trace(readings)) == pytest.approx(JOULES * 19 / 20, rel=0.02)


def test_energy_that_is_left_tells_too() -> None:
    readings = [Reading(time=float(i), voltage=12_000_000, energy=40_000_000 - 1000 * i) for i in range(30)]
    assert battery_trace(readings).between(0, 29) == pytest.approx(29 * 3.6)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging"])
def test_charging_is_seen_by_the_status(tmp_path: Path, status: str) -> None:
    tree = Tree(tmp_path, VENDORS[0])
    readings = tree.record()
    battery = tree.first(LOAD)
    tree.set(0.4, 3.0, status=status)
    readings.append(replace(battery.read(), time=999.0))
    assert battery_trace(readings).charging == (999.0,)


def test_charging_is_seen_by_the_charger_where_the_status_lies(tmp_path: Path) -> None:
    tree = Tree(tmp_path, VENDORS[2])
    battery = tree.first(LOAD)
    (tmp_path / "bms").mkdir()
    (tmp_path / "bms" / "type").write_text("BMS\n")
    (tmp_path / "bms" / "online").write_text("1\n")
    assert not battery.read().charging
    tree.plug(True)
    assert battery.read().charging


def test_a_gauge_of_another_opinion_than_the_counter_is_told(tmp_path: Path) -> None:
    readings = Tree(tmp_path, VENDORS[0]).record([amperes for amperes in LOAD for _ in range(4)])
    tenfold = [replace(each, current=(each.current or 0) // 10) for each in readings]
    notes = battery_trace(tenfold).notes
    assert len(notes) == 1 and "10 times" in notes[0]


@pytest.mark.parametrize("current", [0, -350_000])
def test_a_gauge_that_never_moves_counts_as_none(current: int) -> None:
    stuck = [Reading(time=float(i), current=current, voltage=3_850_000) for i in range(50)]
    with pytest.raises(EngineError, match="neither current nor"):
        battery_trace(stuck)
    standing = [replace(each, charge=3_000_000) for each in stuck]
    with pytest.raises(EngineError, match="stuck"):
        battery_trace(standing)


def test_a_battery_that_hides_everything_is_no_source(tmp_path: Path) -> None:
    assert find_battery(tmp_path / "nowhere") is None
    Tree(tmp_path, VENDORS[0])
    assert find_battery(tmp_path) is None  # only its type and capacity can be read


@given(
    st.lists(st.floats(0.05, 5), min_size=12, max_size=60),
    st.sampled_from([-1, 1]),
    st.sampled_from([1e3, 1e6]),
    st.sampled_from([1e3, 1e6]),
)
def test_units_and_signs_never_change_the_sum(load: list[float], sign: int, unit: float, volt: float) -> None:
    readings = [
        Reading(time=i / 4, current=round(sign * unit * amperes), voltage=round(VOLTS * volt))
        for i, amperes in enumerate(load)
    ]
    if len({each.current for each in readings}) < 2:
        return
    drawn = sum((one + other) / 2 for one, other in pairwise(load)) * VOLTS / 4
    assert battery_trace(readings).joules[-1] == pytest.approx(drawn, rel=0.02)


TERMUX = {
    "present": True,
    "technology": "Li-ion",
    "health": "GOOD",
    "plugged": "UNPLUGGED",
    "status": "DISCHARGING",
    "temperature": "22.3",
    "voltage": 3850,
    "current": -820000,
    "current_average": -576,
    "percentage": 85,
    "level": 85,
    "scale": 100,
    "charge_counter": 3194654,
    "energy": None,
}


def program(path: Path, text: str) -> Path:
    """An executable that prints a text."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_termux_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "termux-battery-status", json.dumps(TERMUX))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    source = find_termux()
    assert source is not None
    reading = source.read()
    assert (reading.current, reading.voltage, reading.charge) == (-820000, 3850, 3194654)
    assert reading.celsius == 22.3 and not reading.charging
    readings = [reading_of(TERMUX | {"current": round(-1e6 * amperes)}, 100 + i / 2) for i, amperes in enumerate(LOAD)]
    assert work(source.trace(readings)) == pytest.approx(JOULES * 19 / 20, rel=0.02)


@pytest.mark.parametrize(
    ("said", "charging"),
    [
        ({"plugged": "PLUGGED_USB"}, True),
        ({"plugged": "PLUGGED_AC", "status": "FULL"}, True),
        ({"status": "CHARGING"}, True),
        ({"status": "NOT_CHARGING"}, True),
        ({"status": "UNKNOWN"}, False),
    ],
)
def test_termux_tells_of_chargers(said: dict[str, Any], charging: bool) -> None:
    assert reading_of(TERMUX | said, 0.0).charging == charging


def test_termux_fields_may_be_missing_or_odd() -> None:
    reading = reading_of({"current": -(2**31), "voltage": "3850", "temperature": None, "charge_counter": -(2**63)}, 1.0)
    assert (reading.current, reading.voltage, reading.charge, reading.celsius) == (None, 3850, None, None)


@pytest.mark.parametrize("text", ["", "Error: no such app", "[]"])
def test_termux_without_its_app_is_one_clear_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(EngineError, match="update termux-api"):
        TermuxBattery(str(program(tmp_path / "status", text))).read()


def test_termux_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "status", "")
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr("magicvl.bench.energy_termux.PATIENCE", 0.2)
    with pytest.raises(EngineError, match="install the app"):
        TermuxBattery(str(path)).read()


def rapl(root: Path, *, psys: bool = True, dram: bool = True) -> Path:
    """A powercap folder of a laptop: flat, as its links are."""
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "uncore"}
    zones |= {"intel-rapl:0:2": "dram"} if dram else {}
    zones |= {"intel-rapl:1": "psys"} if psys else {}
    zones |= {"intel-rapl-mmio:0": "package-0"}
    for folder, name in zones.items():
        (root / folder).mkdir(parents=True)
        for file, text in {"name": name, "energy_uj": "0", "max_energy_range_uj": "262143328850"}.items():
            (root / folder / file).write_text(f"{text}\n")
    (root / "intel-rapl").mkdir()
    return root


def test_rapl_counts_nothing_twice(tmp_path: Path) -> None:
    root = rapl(tmp_path)
    assert [zone.name for zone in rapl_zones(root)] == ["intel-rapl:0", "intel-rapl:0:2"]
    source = Rapl(rapl_zones(root), tmp_path)
    readings = []
    for i in range(30):
        for zone in root.glob("intel-rapl*:*"):
            (zone / "energy_uj").write_text(f"{1_000_000 * i}\n")
        readings.append(replace(source.read(), time=i / 10))
    # Ten watts each, of package and memory; core, uncore, psys and the second way to the package are left out.
    assert source.trace(readings).between(0, 2.9) == pytest.approx(2.9 * 20)
    assert "memory" in source.about and "whole machine" in source.about


def test_rapl_wraps_at_its_range(tmp_path: Path) -> None:
    root = rapl(tmp_path, dram=False)
    (root / "intel-rapl:0" / "max_energy_range_uj").write_text("65532610987\n")
    source = Rapl(rapl_zones(root), tmp_path)
    most = 65532610987
    readings = [RaplReading(i / 10, ((most - 5_000_000 + 1_000_000 * i) % most,), None) for i in range(20)]
    assert source.trace(readings).between(0, 1.9) == pytest.approx(19)


def test_rapl_that_only_root_may_read_is_a_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = rapl(tmp_path)
    # Tests may run as root, who may read everything.
    monkeypatch.setattr(energy_rapl.os, "access", lambda path, _mode: "energy_uj" not in str(path))
    with pytest.raises(EngineError, match="sudo chmod"):
        find_rapl(root)
    assert find_rapl(tmp_path / "nowhere") is None


def test_rapl_takes_the_packages_temperature(tmp_path: Path) -> None:
    root = rapl(tmp_path / "cap")
    for i, (kind, degrees) in enumerate([("acpitz", 90_000), ("x86_pkg_temp", 51_000), ("iwlwifi", 60_000)]):
        zone = tmp_path / "thermal" / f"thermal_zone{i}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind)
        (zone / "temp").write_text(f"{degrees}\n")
    assert Rapl(rapl_zones(root), tmp_path / "thermal").read().celsius == 51


METERS = {
    "watts, seconds": ("time,power\n", lambda t, w: f"{t:.3f},{w}\n", 0.0),
    "mW, epoch": ("Timestamp,Power (mW)\n", lambda t, w: f"{1.79e9 + t:.3f},{w * 1000}\n", 1.79e9),
    "volts and mA, decimal comma": (
        "elapsed;Voltage [V];Current [mA]\n",
        lambda t, w: f"{t:.3f};{VOLTS};{w * 1000 / VOLTS}\n".replace(".", ","),
        0.0,
    ),
    "ISO, tabs, units alone": (
        "datetime\tV\tA\ttotal\n",
        lambda t, w: f"2026-09-22T10:{int(t) // 60:02}:{t % 60:06.3f}+00:00\t{VOLTS}\t{w / VOLTS}\t7\n",
        1790071200.0,
    ),
}


@pytest.mark.parametrize("kind", METERS)
def test_meters_files_are_read(tmp_path: Path, kind: str) -> None:
    header, line, epoch = METERS[kind]
    path = tmp_path / "meter.csv"
    path.write_text("# made by a meter\n" + header + "".join(line(i / 2, VOLTS * load) for i, load in enumerate(LOAD)))
    # The last line may be half written.
    path.write_text(path.read_text() + "17")
    source = Meter(path)
    trace = source.trace([Moment(100.0, epoch), Moment(140.0, epoch + 40)])
    assert work(trace) == pytest.approx(JOULES * 19 / 20, rel=0.02)
    late = Meter(path, 2.0).trace([Moment(100.0, epoch), Moment(140.0, epoch + 40)])
    assert late.times[0] == pytest.approx(98.0)


def test_a_clock_that_was_set_makes_a_meter_void(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("time,power\n" + "".join(f"{i},1\n" for i in range(60)))
    with pytest.raises(EngineError, match="clock was set by 3600"):
        Meter(path).trace([Moment(0.0, 1e9), Moment(30.0, 1e9 + 3630)])
    assert Meter(path).trace([Moment(0.0, 1e9), Moment(30.0, 1e9 + 30.1)]).between(0, 30) == pytest.approx(30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("time,humidity\n1,2\n", "it needs time and power"),
        ("power,voltage\n1,2\n", "it needs time and power"),
        ("time,power\n1,2\n2,much\n3,2\n", "line 3 has no time and power"),
        ("time,power\n1,2\n2,nan\n3,2\n", "line 3 has no time and power"),
        ("time,power\n5,2\n1,2\n", "line 3 is 4 s older"),
    ],
)
def test_a_meters_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as refused:
        read_meter(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_meter_of_another_hour_is_told(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("time,power\n" + "".join(f"{1.79e9 + i},1\n" for i in range(9)))
    with pytest.raises(UsageError, match="set --meter-offset"):
        Meter(path).trace([Moment(0.0, 1.79e9 + 3600), Moment(30.0, 1.79e9 + 3630)])


def test_gaps_are_not_bridged() -> None:
    readings = [(float(i), 2.0) for i in range(60) if not 20 < i < 35]
    trace = from_watts(readings)
    assert trace.gaps == ((20.0, 35.0),)
    assert trace.between(1, 19) == pytest.approx(36) and trace.between(40, 58) == pytest.approx(36)
    assert trace.between(10, 30) is None
    # A counter counts on while nobody looks.
    assert from_counter([(time, 2 * time) for time, _ in readings]).between(10, 45) == pytest.approx(70)


def test_what_is_shorter_than_the_source_can_tell_has_no_number() -> None:
    coarse = from_counter([(i / 10, float(i // 20)) for i in range(600)])
    assert coarse.step == pytest.approx(2.0)
    assert coarse.between(5, 5.3) is None and coarse.between(5, 14) is None
    assert coarse.between(5, 45) == pytest.approx(20, rel=0.03)
    # Nor has what lies outside of the readings.
    assert coarse.between(-30, 10) is None and coarse.between(40, 80) is None


@pytest.mark.parametrize("make", [from_watts, from_counter])
def test_readings_that_go_back_in_time_are_refused(make: Callable[..., Trace]) -> None:
    with pytest.raises(EngineError, match="older than the one before"):
        make([(0.0, 1.0), (1.0, 2.0), (0.5, 3.0)])
    with pytest.raises(EngineError, match="at least 2"):
        make([(0.0, 1.0)])


def test_sources_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SOURCES:
        monkeypatch.setitem(SOURCES, name, lambda: None)
    assert find_source() == (None, []) == find_source("cpu")
    tree = Tree(tmp_path, VENDORS[0])
    tree.set(1.0, 3.0)
    monkeypatch.setitem(SOURCES, "battery", lambda: find_battery(tmp_path))

    def refused() -> None:
        raise EngineError("only root may")

    monkeypatch.setitem(SOURCES, "rapl", refused)
    found, notes = find_source()
    assert found is not None and found.name == "battery" and notes == ["only root may"]
    with pytest.raises(EngineError, match="only root may"):
        find_source("rapl")
    with pytest.raises(EngineError, match="offers none"):
        find_source("termux")
    meter = tmp_path / "meter.csv"
    for wrong in ({"name": "wall"}, {"name": "rapl", "meter": meter}, {"offset": 1.0}, {"meter": meter}):
        with pytest.raises(UsageError):
            find_source(**wrong)
