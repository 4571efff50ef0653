"""Builds of llama.cpp by what a processor must know, and the llama-server that this machine can run.

A build with instructions that a processor lacks dies of SIGILL, one without those it has is several times slower.
What a processor has is asked of the kernel (getauxval), not read from /proc/cpuinfo, which apps on Android may not
always read. The bits are those of Linux's arch/arm64/include/uapi/asm/hwcap.h.
"""

import ctypes
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.edge.files import user_folder
from magicvl.errors import UsageError

SERVER = "llama-server"
RECORD = "build.json"
"""Beside the programs of a build: what they were made from, and how."""
RECORD_FORMAT = 1

_AT_HWCAP, _AT_HWCAP2 = 16, 26
# Names as compilers write them after -march. A compiler may use whatever its architecture level implies, so a
# variant needs more than it is named for.
_HWCAP = {
    "asimd": 1,
    "crc": 7,
    "lse": 8,
    "fp16": 10,
    "rdm": 12,
    "jscvt": 13,
    "fcma": 14,
    "rcpc": 15,
    "dotprod": 20,
    "flagm": 27,
    "sb": 29,
}
_HWCAP2 = {"frint": 8, "i8mm": 13, "bf16": 14}

_V8_2 = frozenset({"asimd", "crc", "lse", "rdm", "fp16", "dotprod"})


@dataclass(frozen=True)
class Variant:
    """One way to build llama.cpp."""

    name: str
    arch: str
    """The architecture as after -march, such as "armv8.2-a+dotprod+fp16"; "native" is the machine that builds."""
    needs: frozenset[str]
    """What of `cpu_features` the build uses."""

    def runs_on(self, features: frozenset[str]) -> bool:
        """True where a processor with these features knows all that the build uses."""
        return self.needs <= features


ARMV8 = Variant("armv8", "armv8-a", frozenset({"asimd"}))
DOTPROD = Variant("dotprod", "armv8.2-a+dotprod+fp16", _V8_2)
I8MM = Variant(
    "i8mm",
    "armv8.6-a+dotprod+fp16+i8mm",
    _V8_2 | {"jscvt", "fcma", "rcpc", "flagm", "sb", "frint", "i8mm", "bf16"},
)
HOST = Variant("host", "native", frozenset())
"""The compiler and the processor of the machine that built it; it never travels."""

PHONE_VARIANTS = (ARMV8, DOTPROD, I8MM)
"""What an archive for phones holds, each faster than the one before it."""
VARIANTS = (*PHONE_VARIANTS, HOST)


@dataclass(frozen=True)
class ServerProgram:
    """A llama-server that this machine can run."""

    path: Path
    variant: str | None
    """Name of the variant; None for a program that is not one of ours."""
    build: str | None
    """The build as /props gives it in `build_info`, such as "b1-0c1e570"; None where that is to be negotiated."""


def cpu_features() -> frozenset[str]:
    """What this processor knows, of what the variants ask; nothing on processors other than 64-bit ARM."""
    if platform.machine() not in {"aarch64", "arm64"} or ctypes.sizeof(ctypes.c_void_p) != 8:
        return frozenset()
    try:
        getauxval = ctypes.CDLL(None).getauxval
    except (AttributeError, OSError):
        return frozenset()  # not Linux: there only the machine's own build is used
    getauxval.restype = ctypes.c_ulong
    getauxval.argtypes = [ctypes.c_ulong]
    return features_of(getauxval(_AT_HWCAP), getauxval(_AT_HWCAP2))


def features_of(hwcap: int, hwcap2: int) -> frozenset[str]:
    """The features of two words of AT_HWCAP and AT_HWCAP2 on arm64."""
    first = {name for name, bit in _HWCAP.items() if hwcap >> bit & 1}
    return frozenset(first | {name for name, bit in _HWCAP2.items() if hwcap2 >> bit & 1})


def best_variant(features: frozenset[str]) -> Variant:
    """The fastest variant for phones that runs with these features; the machine's own build where none does."""
    return next((each for each in reversed(PHONE_VARIANTS) if each.runs_on(features)), HOST)


def llama_pin() -> str:
    """The version of llama-cpp-python whose llama.cpp this magicvl was tried with, such as "0.3.36".

    It is the lower bound in magicvl's own requirements, so that a phone without llama-cpp-python knows it too.
    """
    from importlib.metadata import requires  # takes longer to import than all of the above

    for line in requires("magicvl") or []:
        if found := re.match(r"llama-cpp-python\b.*>=\s*([0-9][0-9.]*[0-9])", line):
            return found[1]
    raise RuntimeError("magicvl's installed metadata names no lower bound of llama-cpp-python; install magicvl again")


def native_folder() -> Path:
    """Where builds for the pinned llama.cpp are installed, each in a folder by the name of its variant.

    Raises RuntimeError for a user without a home.
    """
    return user_folder("XDG_DATA_HOME", ".local/share") / "native" / llama_pin()


def find_server() -> ServerProgram | None:
    """The llama-server to start: MAGICVL_SERVER, else the fastest installed build that runs here, else one on PATH.

    A build whose needs this processor lacks is never returned. Raises UsageError where MAGICVL_SERVER names nothing
    that can be run.
    """
    if named := os.environ.get("MAGICVL_SERVER"):
        path = Path(named).expanduser().absolute()
        if not _is_program(path):
            raise UsageError(f"MAGICVL_SERVER {path} is no program: set it to a {SERVER}, or unset it")
        return ServerProgram(path, None, None)
    on_path = shutil.which(SERVER)
    return next(_installed(), None) or (ServerProgram(Path(on_path), None, None) if on_path else None)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The build record in a folder, or None where there is no readable one."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == RECORD_FORMAT else None


def _installed() -> Iterator[ServerProgram]:
    """The installed builds that run here, the fastest first: the machine's own, then those for phones."""
    try:
        folder = native_folder()
    except RuntimeError:
        return
    features = cpu_features()
    for variant in reversed(VARIANTS):
        path = folder / variant.name / SERVER
        if variant.runs_on(features) and _is_program(path):
            record = read_record(path.parent)
            # A home on a network is shared between machines: one's own build may lie there for the other too.
            if record is not None and record.get("machine") == platform.machine():
                build = record.get("build")
                yield ServerProgram(path, variant.name, build if isinstance(build, str) else None)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
