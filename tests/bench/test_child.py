"""A process that measures gives its numbers back, and ends with the one that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from magicvl.bench.child import run_child
from magicvl.errors import EngineError

SLEEPER = """
import json, os, sys, time
from pathlib import Path
order = json.loads(sys.argv[1])
Path(order["pid"] + ".part").write_text(str(os.getpid()))
Path(order["pid"] + ".part").rename(order["pid"])
time.sleep(order["seconds"])
if order["seconds"]:
    raise SystemExit("slept to the end")
print("before")
print(json.dumps({"asked": order, "name": __name__, "argv": len(sys.argv)}))
"""
PARENT = """
import sys
from magicvl.bench.child import run_child
run_child("sleeper_of_test", {"pid": sys.argv[1], "seconds": 60}, "sleeping")
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sleeper_of_test.py").write_text(SLEEPER)
    (tmp_path / "failing_of_test.py").write_text("raise SystemExit('no such\\nluck today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def ended(pid: int) -> bool:
    """Whether a process has gone, or only waits to be looked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_last_line_comes_back(modules: Path) -> None:
    order = {"pid": str(modules / "pid"), "seconds": 0}
    assert run_child("sleeper_of_test", order, "x") == {"asked": order, "name": "__main__", "argv": 2}


def test_a_failure_is_one_line(modules: Path) -> None:
    with pytest.raises(EngineError, match=r"^the question failed: luck today$"):
        run_child("failing_of_test", {}, "the question")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_parent(modules: Path, number: signal.Signals) -> None:
    place = modules / "pid"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(place)]) as parent:
        until = time.monotonic() + 30
        while not place.exists() and time.monotonic() < until:
            time.sleep(0.02)
        child = int(place.read_text())
        try:
            assert not ended(child)
            parent.send_signal(number)
            assert parent.wait(10) == -number
            while not ended(child) and time.monotonic() < until:
                time.sleep(0.02)
            assert ended(child)
        finally:
            if not ended(child):
                os.kill(child, signal.SIGKILL)
