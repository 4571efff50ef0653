"""What memory is free for this process: the system's own estimate, a container's limit, or what the user allows.

Swap is not counted: weights that are read at every token must not wait for it, and phones keep none on disk.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from magicvl.errors import UsageError

VARIABLE: Final = "MAGICVL_MEMORY"
"""MB that may be taken, whatever the system says."""
_MEMINFO = Path("/proc/meminfo")
_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT: Final = 2**60
"""The first version of control groups says "no limit" by a number about this large."""


def free_memory(meminfo: Path = _MEMINFO, membership: Path = _MEMBERSHIP, cgroups: Path = _CGROUPS) -> int | None:
    """Bytes that this process may still take; None where nothing tells.

    The least of the kernel's MemAvailable (page cache that can be given up is free) and what each control group that
    the process is in leaves; MAGICVL_MEMORY stands for both where it is set. Raises UsageError where it is no number.
    """
    allowed = os.environ.get(VARIABLE)
    if allowed:
        if not (allowed.isdecimal() and allowed.isascii() and int(allowed)):
            raise UsageError(f"{VARIABLE}={allowed}: it must be a whole number of MB, at least 1")
        return int(allowed) * 10**6
    found = [left for left in (_available(meminfo), *_left(membership, cgroups)) if left is not None]
    return min(found, default=None)


def total_memory(meminfo: Path = _MEMINFO) -> int | None:
    """Bytes of memory of the machine; None where it does not tell."""
    return _fields(meminfo).get("MemTotal")


def _available(meminfo: Path) -> int | None:
    fields = _fields(meminfo)
    if "MemAvailable" in fields:
        return fields["MemAvailable"]
    # Kernels before 3.14, as the oldest phones have, leave the sum to the reader.
    return fields["MemFree"] + fields.get("Cached", 0) if "MemFree" in fields else None


def _fields(path: Path) -> dict[str, int]:
    """Lines such as `MemTotal:  24684092 kB`, in bytes."""
    found: dict[str, int] = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdecimal():
            found[name] = int(number[0]) * 1024
    return found


def _left(membership: Path, cgroups: Path) -> Iterator[int | None]:
    """What each control group leaves, and each that it lies in."""
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            yield from map(_second_version, _ancestors(cgroups, group))
        elif "memory" in controllers.split(","):
            yield from map(_first_version, _ancestors(cgroups / "memory", group))


def _ancestors(root: Path, group: str) -> list[Path]:
    """A group's folder and those above it; inside a container only the last of them may be there."""
    parts = [part for part in group.split("/") if part not in {"", ".", ".."}]
    return [root.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _second_version(folder: Path) -> int | None:
    limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
    return _less_used([limit for limit in limits if limit is not None], folder, "memory.current", "")


def _first_version(folder: Path) -> int | None:
    limit = _number(folder / "memory.limit_in_bytes")
    return _less_used([] if limit is None or limit >= _NO_LIMIT else [limit], folder, "memory.usage_in_bytes", "total_")


def _less_used(limits: list[int], folder: Path, current: str, prefix: str) -> int | None:
    used = _number(folder / current)
    if not limits or used is None:
        return None
    # What is used counts files that were read, which the kernel lets go of when it must.
    cached = 0
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in {f"{prefix}inactive_file", f"{prefix}active_file"} and value.isdecimal():
            cached += int(value)
    return max(0, min(limits) - max(0, used - cached))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
