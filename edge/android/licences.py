"""The licences of all that is in an archive: ours, llama.cpp's, what it carries, and what is linked in statically."""

from collections.abc import Iterator
from pathlib import Path

from magicvl.edge.android.wheels import CHECKOUT
from magicvl.errors import MagicVLError

_OF_LLAMA = {
    "llama.cpp": "LICENSE",
    "nlohmann-json": "licenses/LICENSE-jsonhpp",
    "cpp-httplib": "vendor/cpp-httplib/LICENSE",
    "hash-sha256": "vendor/hash/sha256/LICENSE",
    "hash-rotate-bits": "vendor/hash/rotate-bits/LICENSE.md",
    "hash-xxhash": "vendor/hash/xxhash/LICENSE",
}
# These have theirs in the source file itself: the lines from one that begins so, to the end or so many.
_IN_SOURCES = {
    "miniaudio": ("vendor/miniaudio/miniaudio.h", "This software is available as a choice", 60),
    "stb": ("vendor/stb/stb_image.h", "This software is available under 2 licenses", 40),
    "subprocess.h": ("vendor/sheredom/subprocess.h", "   This is free and unencumbered software", 25),
    "llamafile-sgemm": ("ggml/src/ggml-cpu/llamafile/sgemm.cpp", "// Copyright", 24),
}
_OF_ZIG = {
    "zig-compiler-rt": "../LICENSE",
    "musl": "libc/musl/COPYRIGHT",
    "libc++": "libcxx/LICENSE.TXT",
    "libc++abi": "libcxxabi/LICENSE.TXT",
    "libunwind": "libunwind/LICENSE.TXT",
}


def licences(llama: Path, zig: Path | None) -> dict[str, bytes]:
    """Each text by the name of what it is for; Python packages carry theirs inside their wheels.

    `zig` is the program, None where nothing was linked with it. Raises MagicVLError that lists those not found.
    """
    wanted = {"magicvl": CHECKOUT / "LICENSE"} | {name: llama / path for name, path in _OF_LLAMA.items()}
    if zig is not None:
        wanted |= {name: _library(zig) / path for name, path in _OF_ZIG.items()}
    texts: dict[str, bytes] = {}
    for name, path in wanted.items():
        if path.is_file():
            texts[name] = path.read_bytes()
    texts |= {name: text for name in _IN_SOURCES if (text := _header(llama, name))}
    if missing := sorted({*wanted, *_IN_SOURCES} - set(texts)):
        raise MagicVLError(f"no licence found for {', '.join(missing)}: say in {__name__} where it lies now")
    return texts


def _header(llama: Path, name: str) -> bytes:
    """The licence in a source file; empty where it is not where it was."""
    path, begins, count = _IN_SOURCES[name]
    try:
        lines = (llama / path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return b""
    first = next(_starts(lines, begins), None)
    return b"" if first is None else ("\n".join(lines[first : first + count]) + "\n").encode()


def _starts(lines: list[str], begins: str) -> Iterator[int]:
    return (number for number, line in enumerate(lines) if line.startswith(begins))


def _library(zig: Path) -> Path:
    """The folder lib of a zig: beside the program, or where a distribution puts it."""
    real = zig.resolve()
    places = (real.parent / "lib", real.parent.parent / "lib" / "zig")
    return next((place for place in places if (place / "libc" / "musl").is_dir()), places[0])
