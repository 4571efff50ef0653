"""Measuring in a process of its own: an order goes in as JSON, its last line comes back as JSON, and how big it got."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicvl.errors import EngineError


def run_child(module: str, order: Mapping[str, object], what: str) -> dict[str, Any]:
    """What a module that is run as a program makes of an order; where it fails an EngineError says that `what` did."""
    command = [sys.executable, "-m", module, json.dumps(order)]
    child = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if child.returncode:
        said = child.stderr.strip().splitlines()[-1:] or [f"exit code {child.returncode}, no message"]
        raise EngineError(f"{what} failed: {said[0]}")
    measured: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return measured


def peak_mib() -> float:
    """Most resident memory of this process so far, pages of mapped files counted, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024
