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
_SLOW = 0.5
"""Kinds of less than this share of the fastest one's capacity only hold the others up."""
_SMALL_PARTS = frozenset(
    {
        *((0x41, part) for part in (0xD03, 0xD04, 0xD05, 0xD46, 0xD80)),
        *((0x51, part) for part in (0x801, 0x803, 0x805)),
    }
)
"""Implementer and part of cores made to save energy: Cortex-A53, A35, A55, A510, A520; Kryo's silver ones."""


def physical_cores(topology: Path = _TOPOLOGY) -> int:
    """Physical cores that this process may run on, at least 1.

    Two hardware threads of a core share its arithmetic units, so one thread a core is the fastest for
    matrix products. Where the system does not tell which belong together, every one counts.
    """
    return max(1, len(_cores(topology)))


def performance_cores(topology: Path = _TOPOLOGY, cpuinfo: Path = _CPUINFO) -> int:
    """Physical cores that are worth computing with, at least 1: on a big.LITTLE processor not the little ones.

    By the scheduler's capacity a kind counts that has half the fastest one's or more (1 + 3 + 4 cores make 4, 2 + 6
    of nearly equal ones 8). By an Arm core's highest frequency, which hides how much it does in a cycle, all kinds
    but the slowest. Where neither can be read, as on some Androids, by the parts' numbers in /proc/cpuinfo; where
    nothing tells, all of them.
    """
    cores = _cores(topology)
    kinds = _kinds(_speeds(cores, topology, "cpu_capacity"))
    if len(kinds) > 1:
        return sum(len(kind) for kind in kinds if kind[0] >= _SLOW * kinds[0][0])
    kinds = kinds or _kinds(_speeds(cores, topology, "cpufreq/cpuinfo_max_freq"))
    if len(kinds) > 1 and platform.machine().startswith(("aarch64", "arm")):
        return sum(len(kind) for kind in kinds[:-1])
    small = _small(cpuinfo)
    large = [threads for threads in cores if not small & threads]
    return len(large) or max(1, len(cores))


def default_threads(topology: Path = _TOPOLOGY, cpuinfo: Path = _CPUINFO, quota: Path = _QUOTA) -> int:
    """Threads to compute with where nothing was measured: the performance cores, within a container's quota."""
    count = performance_cores(topology, cpuinfo)
    limit = _quota(quota)
    return count if limit is None else min(count, limit)


def thread_counts(topology: Path = _TOPOLOGY, quota: Path = _QUOTA, cpuinfo: Path = _CPUINFO) -> tuple[int, ...]:
    """The counts that can be the fastest, each once, smallest first.

    The fastest kind of core alone, then with each slower kind (big.LITTLE), then all hardware threads; and what
    a container's quota comes to. Where all cores are alike these are the physical ones, and the hardware threads.
    """
    allowed = _allowed(topology)
    cores = _cores(topology)
    kinds = _kinds(_core_speeds(cores, topology))
    steps = [sum(map(len, kinds[:count])) for count in range(1, len(kinds))]
    counts = {*steps, performance_cores(topology, cpuinfo), max(1, len(cores)), len(allowed)}
    limit = _quota(quota)
    if limit is not None and limit < len(allowed):
        counts.add(limit)
    return tuple(sorted(counts))


def core_kinds(topology: Path = _TOPOLOGY) -> tuple[int, ...]:
    """Physical cores of each kind, the fastest kind first; one number where all are alike or nothing tells."""
    cores = _cores(topology)
    return tuple(map(len, _kinds(_core_speeds(cores, topology)))) or (max(1, len(cores)),)


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


def _allowed(topology: Path) -> set[int]:
    """The hardware threads that this process may run on, never none."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0) or {0}
    return _online(topology) or set(range(os.cpu_count() or 1))


def _online(topology: Path) -> set[int]:
    """What `online` lists, such as 0-3,6; nothing where it can't be read."""
    found = set[int]()
    try:
        for part in (topology / "online").read_text().strip().split(","):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):
        return set()
    return found


def _cores(topology: Path) -> list[frozenset[int]]:
    """The hardware threads of each physical core, as far as this process may run on them."""
    cores: dict[str, set[int]] = {}
    for cpu in sorted(_allowed(topology)):
        cores.setdefault(_siblings(cpu, topology), set()).add(cpu)
    return [frozenset(threads) for threads in cores.values()]


def _siblings(cpu: int, topology: Path) -> str:
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip() or str(cpu)
    except OSError:
        return str(cpu)


def _core_speeds(cores: list[frozenset[int]], topology: Path) -> list[int]:
    return _speeds(cores, topology, "cpu_capacity") or _speeds(cores, topology, "cpufreq/cpuinfo_max_freq")


def _speeds(cores: list[frozenset[int]], topology: Path, name: str) -> list[int]:
    """What the system says of each core's speed, in a unit of its own; nothing where it leaves one out."""
    speeds = []
    for threads in cores:
        try:
            speeds.append(max(int((topology / f"cpu{cpu}" / name).read_text()) for cpu in threads))
        except (OSError, ValueError):
            return []
    return speeds if all(speed > 0 for speed in speeds) else []


def _kinds(speeds: list[int]) -> list[list[int]]:
    """Speeds in groups of about the same, the fastest first."""
    kinds: list[list[int]] = []
    for speed in sorted(speeds, reverse=True):
        if kinds and speed >= _ALIKE * kinds[-1][-1]:
            kinds[-1].append(speed)
        else:
            kinds.append([speed])
    return kinds


def _small(cpuinfo: Path) -> set[int]:
    """The hardware threads of which /proc/cpuinfo says that they belong to a small core."""
    found, cpu, implementer = set[int](), -1, 0
    try:
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = (part.strip() for part in line.partition(":"))
            if name == "processor":
                cpu = int(value)
            elif name == "CPU implementer":
                implementer = int(value, 0)
            elif name == "CPU part" and (implementer, int(value, 0)) in _SMALL_PARTS:
                found.add(cpu)
    except (OSError, ValueError):
        return set()
    return found


def _quota(path: Path) -> int | None:
    """Cores that a container may keep busy, None for no limit."""
    try:
        quota, period = path.read_text().split()
        return max(1, ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
