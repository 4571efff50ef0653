"""The programs of this machine that a build needs, and zig as a C and C++ compiler for static arm64 programs.

zig (PyPI package ziglang) carries musl, libc++ and Clang in one package, so no cross compiler is installed. It
names processors its own way: -mcpu=generic+v8_2a+dotprod where llama.cpp's CMake files pass -march=armv8.2-a+dotprod.
"""

import importlib.util
import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from magicvl.edge.variant import HOST, PHONE_VARIANTS, Variant
from magicvl.errors import MagicVLError, UsageError

TARGET = "aarch64-linux-musl"
NDK_VARIABLE = "ANDROID_NDK_HOME"
NDK_TOOLCHAIN = Path("build", "cmake", "android.toolchain.cmake")
WAYS = {
    "cmake": "pip install cmake, or apt-get install cmake",
    "ninja": "pip install ninja, or apt-get install ninja-build",
    "zig": "pip install ziglang",
    "c++": "apt-get install g++",
    "git": "apt-get install git",
    "adb": "apt-get install adb, or Android's platform-tools",
}
"""How each program is to be had."""

_FEATURES = {"fp16": "fullfp16"}
# Arguments are passed on one by one, so that quoted definitions with spaces in them live.
_WRAPPER = """#!/bin/sh
# Written by magicvl: {zig} as a compiler for {target}.
for argument do
    shift
    case $argument in
{cases}
        -march=*|-mcpu=*) echo "magicvl: no variant is built with $argument" >&2; exit 1 ;;
    esac
    set -- "$@" "$argument"
done
exec {zig} {language} -target {target} "$@"
"""


@dataclass(frozen=True)
class Tools:
    """Where the programs of a build are."""

    cmake: Path
    ninja: Path
    zig: Path | None
    """Only where a variant for phones is built."""


def zig_cpu(arch: str) -> str:
    """zig's -mcpu for an architecture as after -march; "armv8.2-a+fp16" gives "generic+v8_2a+fullfp16"."""
    level, *features = arch.split("+")
    found = re.fullmatch(r"armv(\d+)(?:\.(\d+))?-a", level)
    if found is None:
        raise ValueError(f"{arch} does not begin like armv8.2-a")
    name = f"v{found[1]}_{found[2]}a" if found[2] else f"v{found[1]}a"
    return "+".join(["generic", name, *(_FEATURES.get(each, each) for each in features)])


def find_tools(variants: Collection[Variant]) -> Tools:
    """The programs that a build of these variants needs.

    Raises MagicVLError that lists all that are missing, each with how to get it.
    """
    found = {"cmake": _program("cmake"), "ninja": _program("ninja")}
    if any(each in PHONE_VARIANTS for each in variants):
        found["zig"] = find_zig()
    if HOST in variants:
        found["c++"] = _program(os.environ.get("CXX", "c++"))
    require(found)
    cmake, ninja = found["cmake"], found["ninja"]
    assert cmake is not None and ninja is not None
    return Tools(cmake, ninja, found.get("zig"))


def require(found: dict[str, Path | None]) -> None:
    """Raises MagicVLError that lists the programs that were not found, each with how to get it."""
    if missing := [f"{name} ({WAYS[name]})" for name, path in found.items() if path is None]:
        raise MagicVLError(f"missing on this machine: {'; '.join(missing)}")


def find_zig() -> Path | None:
    """zig on PATH, or in the package ziglang of this Python."""
    if on_path := _program("zig"):
        return on_path
    spec = importlib.util.find_spec("ziglang")
    folders = spec.submodule_search_locations if spec else None
    return next((zig for folder in folders or [] if (zig := Path(folder, "zig")).is_file()), None)


def find_ndk() -> Path | None:
    """The NDK that ANDROID_NDK_HOME names, or None where it is not set. Raises UsageError where that is no NDK."""
    named = os.environ.get(NDK_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser().absolute()
    if not (folder / NDK_TOOLCHAIN).is_file():
        raise UsageError(f"{NDK_VARIABLE} {folder} is no Android NDK: it lacks {NDK_TOOLCHAIN}; unset it to go without")
    return folder


def write_wrappers(folder: Path, zig: Path, variants: Iterable[Variant]) -> dict[str, Path]:
    """Writes zig as cc, c++, ar and ranlib into a folder; gives each by its name. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    program = shlex.quote(str(zig))
    cases = "\n".join(f"        -march={each.arch}) argument=-mcpu={zig_cpu(each.arch)} ;;" for each in variants)
    texts = {
        name: _WRAPPER.format(zig=program, target=TARGET, cases=cases, language=name) for name in ("cc", "c++")
    } | {name: f'#!/bin/sh\nexec {program} {name} "$@"\n' for name in ("ar", "ranlib")}
    return {name: _write(folder / name, text) for name, text in texts.items()}


def _write(path: Path, text: str) -> Path:
    # A newer time would make CMake's compiler checks start anew.
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    return path


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).absolute() if found else None
