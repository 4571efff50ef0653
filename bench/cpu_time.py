"""CPU seconds of this process and all that it started, those that still run among them."""

import os
import time
from pathlib import Path


def cpu_seconds(proc: Path = Path("/proc")) -> float:
    """Seconds that processors worked for us. Children that still run count where /proc can be read."""
    times = os.times()
    # The clock of the own process counts nanoseconds, the others ticks.
    return time.process_time() + times.children_user + times.children_system + _running(proc)


def _running(proc: Path) -> float:
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in proc.glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            process = int(stat.parent.name)
            parents[process] = int(fields[1])
            # Its own, and those of its children that are over: utime, stime, cutime, cstime.
            ticks[process] = sum(map(int, fields[11:15]))
        except (OSError, ValueError, IndexError):
            continue
    mine, waiting = set[int](), {os.getpid()}
    while waiting:
        waiting = {process for process, parent in parents.items() if parent in waiting} - mine
        mine |= waiting
    return sum(ticks[process] for process in mine - {os.getpid()}) / os.sysconf("SC_CLK_TCK")
