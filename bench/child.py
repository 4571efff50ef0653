"""Measuring in a process of its own: an order goes in as JSON, its last line comes back as JSON, and how big it got.

A child ends with the process that started it, however that one ends: its standard input is a pipe that nothing is
written to, and whose other end only that process holds. Run as a program, this module waits for the pipe's end beside
the module that it is told to run.
"""

import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from magicvl.errors import EngineError


def run_child(module: str, order: Mapping[str, object], what: str) -> dict[str, Any]:
    """What a module that is run as a program makes of an order; where it fails an EngineError says that `what` did."""
    command = [sys.executable, "-m", "magicvl.bench.child", module, json.dumps(order)]
    with _lifeline() as held:
        child = subprocess.run(command, stdin=held, capture_output=True, text=True, errors="replace", check=False)
    if child.returncode:
        said = child.stderr.strip().splitlines()[-1:] or [f"exit code {child.returncode}, no message"]
        raise EngineError(f"{what} failed: {said[0]}")
    measured: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return measured


def peak_mib() -> float:
    """Most resident memory of this process so far, pages of mapped files counted, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


@contextmanager
def _lifeline() -> Iterator[int]:
    """The reading end of a pipe that ends with this process; no child inherits the other."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _end_with_parent() -> None:
    """Waits in a thread until standard input ends, then ends this process at once, whatever it is in."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
