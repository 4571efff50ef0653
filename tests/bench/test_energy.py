"""Joules of real questions, on a machine whose energy we make up: so much a second, and so much a CPU second."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from magicvl import cli
from magicvl.bench import energy_work
from magicvl.bench.cpu_time import cpu_seconds
from magicvl.bench.energy_source import SOURCES
from magicvl.bench.energy_sysfs_battery import SysfsBattery, find_battery
from magicvl.edge.engine import Engine
from magicvl.errors import UsageError

IDLE_WATTS, JOULES_A_CPU_SECOND = 2.0, 10.0
PARTS = ["load", "encode", "prefill", "decode", "question"]
ORDER = ["--seconds", "0.4", "--idle", "0.5", "--threads", "1", "--width", "96", "--height", "64", "--tokens", "4"]


class Machine:
    """A battery's folder that a thread keeps up with what the thread that made it computes.

    Not with the whole process: other tests leave threads behind, and garbage to collect. So the CPU seconds of the
    bench are counted by `work_seconds` too.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "battery"
        self.folder.mkdir(parents=True)
        (self.folder / "type").write_text("Battery\n")
        self.put("status", "Discharging")
        self.put("voltage_now", 4_000_000)
        self.clock = time.pthread_getcpuclockid(threading.get_ident())
        self.begun, self.cpu, self.celsius = time.monotonic(), self.work_seconds(), 31.0
        self.over = threading.Event()
        self.write()
        self.thread = threading.Thread(target=self.run)

    def work_seconds(self) -> float:
        return time.clock_gettime(self.clock)

    def put(self, name: str, text: object) -> None:
        partial = self.folder / f".{name}"
        partial.write_text(f"{text}\n")
        partial.replace(self.folder / name)

    def write(self) -> None:
        worked = JOULES_A_CPU_SECOND * (self.work_seconds() - self.cpu)
        drawn = IDLE_WATTS * (time.monotonic() - self.begun) + worked
        self.put("energy_now", round(40_000_000 - drawn / 3.6e-3))
        self.put("temp", round(10 * self.celsius))
        self.celsius += 0.01

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.write()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path / "supplies")
    for name in SOURCES:
        monkeypatch.setitem(SOURCES, name, lambda: None)
    monkeypatch.setitem(SOURCES, "battery", lambda: find_battery(tmp_path / "supplies"))
    monkeypatch.setattr(SysfsBattery, "period", 0.02)
    monkeypatch.setattr(energy_work, "cpu_seconds", made.work_seconds)
    made.thread.start()
    yield made
    made.over.set()
    made.thread.join()


def test_joules_are_those_of_the_work_alone(
    machine: Machine, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "energy.png"
    # Long enough for a machine that is too busy to keep up the source every 20 ms.
    assert cli.run(["bench", "energy", str(tiny_bundle), *ORDER, "--seconds", "1", "--figure", str(figure)]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["unit"] == "J" and found["void"] is None and "whole device" in found["about"]["source"]
    assert [phase["name"] for phase in found["phases"]] == PARTS
    # A busy machine moves the moments of reading by some per cent.
    assert 0.95 * IDLE_WATTS <= found["idle_watts"] < IDLE_WATTS + 4
    assert found["about"]["threads"] == 1 and found["about"]["runtime"] == "InProcess"
    for phase in found["phases"]:
        own = (found["idle_watts"] - IDLE_WATTS) * phase["wall_s"]
        wanted = phase["runs"] * (JOULES_A_CPU_SECOND * phase["cpu_s"] - own)
        assert phase["runs"] * phase["joules"] == pytest.approx(wanted, rel=0.25, abs=0.5)
        if phase["name"] in {"encode", "prefill", "decode"}:
            assert phase["joules_token"] == pytest.approx(phase["joules"] / phase["tokens"])
    lasted = found["sustained"]
    assert lasted["highest_celsius"] >= lasted["first_celsius"] > 31
    assert "idle" in "".join(table) and not any("nan" in line for line in table)
    with Image.open(figure) as picture:
        assert picture.format == "PNG" and picture.width > 600


def test_a_charger_that_comes_meanwhile_makes_it_void(
    machine: Machine, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(0.6, machine.put, ("status", "Charging")).start()
    assert cli.run(["bench", "energy", str(tiny_bundle), *ORDER, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["unit"] == "CPU s" and "charger" in found["void"] and found["idle_watts"] is None
    assert all(phase["joules"] is None and phase["watts"] is None for phase in found["phases"])
    assert all(phase["cpu_s"] > 0 for phase in found["phases"])


def test_a_charger_that_is_there_is_told_at_once(
    machine: Machine, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.put("status", "Full")
    begun = time.monotonic()
    assert cli.run(["bench", "energy", str(tiny_bundle), *ORDER]) == 1
    assert time.monotonic() - begun < 5
    captured = capsys.readouterr()
    assert captured.out == "" and "unplug it" in captured.err


def test_a_counter_that_stands_still_gives_no_joules(
    machine: Machine, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.over.set()
    assert cli.run(["bench", "energy", str(tiny_bundle), *ORDER]) == 1
    *table, last = capsys.readouterr().out.splitlines()
    assert "stuck" in json.loads(last)["void"] and any(line.startswith("void: ") for line in table)


def test_without_a_source_they_are_cpu_seconds(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "cpu.png"
    order = ["bench", "energy", str(tiny_bundle), *ORDER, "--source", "cpu", "--figure", str(figure)]
    assert cli.run(order) == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["unit"] == "CPU s" and found["step_s"] is None
    assert all(phase["joules"] is None for phase in found["phases"])
    assert any("no joules" in line for line in table) and figure.exists()
    parts = {phase["name"]: phase for phase in found["phases"]}
    assert parts["encode"]["tokens"] == 6 and parts["decode"]["tokens"] <= 4
    assert cli.run(order) == 2 and "--force" in capsys.readouterr().err


def test_a_server_is_measured_by_whole_questions(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_engine: Engine) -> None:
        raise UsageError("embeddings are not to be had of llama-server")

    monkeypatch.setattr(Engine, "inproc", property(refused))
    assert cli.run(["bench", "energy", str(tiny_bundle), *ORDER, "--source", "cpu"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    assert [phase["name"] for phase in json.loads(last)["phases"]] == ["load", "question"]
    assert any("--runtime inproc" in line for line in table)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--seconds", "0"], "--seconds 0"),
        (["--minutes", "nan"], "--minutes nan"),
        (["--tokens", "0"], "at least 1"),
        (["--source", "sun"], "auto, cpu, rapl, battery, termux"),
        (["--force"], "--force without --figure"),
        (["--meter-offset", "3"], "without --meter"),
        (["--meter", "nowhere.csv"], "before the measurement begins"),
        (["--figure", "energy.jpg"], "ends in .png"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "energy", *wrong]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.out == ""


def test_cpu_seconds_count_children_that_still_run() -> None:
    work = "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    code = f"import time\n{work}\nprint(1, flush=True)\ninput()"
    before = cpu_seconds()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = cpu_seconds() - before
        child.communicate(b"\n")
    over = cpu_seconds() - before
    assert 0.28 <= over < 3
    if Path("/proc/self/stat").exists():
        assert 0.28 <= running <= over + 0.02


def test_a_phone_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys\nfor name in ('gguf', 'torch', 'transformers', 'matplotlib'): sys.modules[name] = None\n"
        "from magicvl.cli import run\n"
        "order = ['bench', 'energy', '--source', 'cpu', '--seconds', '0.1', '--width', '64', '--height', '64']\n"
        "assert run(order) == 0\nassert run([*order, '--figure', 'nowhere.png']) == 2"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "magicvl[bench]" in done.stderr and json.loads(done.stdout.splitlines()[-1])["unit"] == "CPU s"
