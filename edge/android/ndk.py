"""The shared libraries for Python's own process on Android, by a CMake preset, where an NDK is given.

No NDK is to be had from a package registry, so this was never built by us: only its configure step was tried, with a
stand-in for the NDK's toolchain file.
"""

from collections.abc import Iterator
from pathlib import Path

from magicvl.edge.variant import Variant
from magicvl.errors import MagicVLError

PROJECT = Path(__file__).resolve().with_name("ndk_project")
PRESET = "android-arm64"
NDK = Variant("lib", "arm64-v8a", frozenset({"asimd"}))
"""Its code for the CPU lies in libraries of its own, among which ggml chooses by itself."""

_NEEDED = ("libggml-base.so", "libggml.so", "libllama.so", "libmtmd.so")
_CXX = "toolchains/llvm/prebuilt/*/sysroot/usr/lib/aarch64-linux-android/libc++_shared.so"


def ndk_commands(cmake: Path, ninja: Path, source: Path, folder: Path, jobs: int) -> Iterator[tuple[str, list[str]]]:
    """What is run, in the order of running, each with what it does. ANDROID_NDK_HOME is read by the preset."""
    start = [str(cmake), "-S", str(PROJECT), "--preset", PRESET, "-B", str(folder)]
    yield "configuring", [*start, f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DMAGICVL_LLAMA={source}"]
    yield "compiling", [str(ninja), "-C", str(folder), f"-j{jobs}"]


def ndk_libraries(folder: Path, ndk: Path) -> list[Path]:
    """The libraries that were built, and the C++ library of the NDK. Raises MagicVLError where one is missing."""
    built = sorted(folder.glob("lib*.so"))
    names = {path.name for path in built}
    missing = [name for name in _NEEDED if name not in names]
    if not any(name.startswith("libggml-cpu") for name in names):
        missing.append("libggml-cpu*.so")
    cxx = sorted(ndk.glob(_CXX))
    if not cxx:
        missing.append("libc++_shared.so")
    if missing:
        raise MagicVLError(f"the NDK build made no {', '.join(missing)} in {folder}")
    return [*built, cxx[0]]
