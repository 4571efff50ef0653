"""How many threads to compute with: what the system tells of its cores, and which counts are worth measuring."""

import os
import platform
from math import ceil
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CPUINFO = Path("/proc/cpuinfo")
_NAMES = ("model name", "CPU implementer", "CPU part", "Hardware", "uarch")
"""Lines of /proc/cpuinfo that say which processor it is, on one architecture or another."""
_ALIKE = 0.9
"""Cores of at least this share of the next faster one's speed are of its kind."""


def physical_cores(topology: Path = _TOPOLOGY) -> int:
    """Physical cores that this process may run on, at least 1.

    Two hardware threads of a core share its arithmetic units, so one thread a core is the fastest for
    matrix products. Where the system does not tell which belong together, every one counts.
    """
    return max(1, len({_siblings(cpu, topology) for cpu in _allowed()}))


def thread_counts(topology: Path = _TOPOLOGY, quota: Path = _QUOTA) -> tuple[int, ...]:
    """The counts that can be the fastest, each once, smallest first.

    The fastest kind of core alone, then with each slower kind (big.LITTLE), then all hardware threads; and what
    a container's quota comes to. Where all cores are alike these are the physical ones, and the hardware threads.
    """
    allowed = _allowed()
    speeds: dict[str, int] = {}
    for cpu in allowed:
        core = _siblings(cpu, topology)
        speeds[core] = max(speeds.get(core, 0), _speed(cpu, topology))
    fastest_first = sorted(speeds.values(), reverse=True)
    steps = [i for i in range(1, len(fastest_first)) if fastest_first[i] < _ALIKE * fastest_first[i - 1]]
    counts = {*steps, len(fastest_first), len(allowed)}
    limit = _quota(quota)
    if limit is not None and limit < len(allowed):
        counts.add(limit)
    return tuple(sorted(counts))


def processor() -> str:
    """Which processor this is, as far as the system tells: the same text on the same machine."""
    found = set[str]()
    try:
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in _NAMES:
                found.add(value.strip())
    except OSError:
        found.add(platform.processor())
    return " ".join([platform.machine(), *sorted(found)])


def _allowed() -> set[int]:
    """The hardware threads that this process may run on, never none."""
    if not hasattr(os, "sched_getaffinity"):
        return set(range(os.cpu_count() or 1))
    return os.sched_getaffinity(0) or {0}


def _siblings(cpu: int, topology: Path) -> str:
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _speed(cpu: int, topology: Path) -> int:
    """What the system says of a core's speed, in a unit of its own; 0 where it says nothing."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        try:
            return int((topology / f"cpu{cpu}" / name).read_text())
        except (OSError, ValueError):
            continue
    return 0


def _quota(path: Path) -> int | None:
    """Cores that a container may keep busy, None for no limit."""
    try:
        quota, period = path.read_text().split()
        return max(1, ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
