"""Which libllama is loaded into this process: the one that is named, else the one that came along, else the installed.

llama-cpp-python reads two environment variables when it is imported; they are set here, before that.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from magicvl.edge.files import user_folder
from magicvl.edge.variant import native_folder
from magicvl.errors import UsageError

LIBRARY_VARIABLE = "MAGICVL_LIBRARY"
_OF_LLAMA_CPP_PYTHON = ("LLAMA_CPP_LIB_PATH", "MTMD_CPP_LIB")
_SUFFIXES = (".so", ".dylib", ".dll")


def library_folder() -> Path | None:
    """The folder of libllama and libmtmd to load: MAGICVL_LIBRARY, else `lib` of the installed archive for phones.

    None for the libraries of llama-cpp-python itself, or where its own variables are set. Raises UsageError where
    MAGICVL_LIBRARY names a folder that lacks one of them.
    """
    if named := os.environ.get(LIBRARY_VARIABLE):
        folder = Path(named).expanduser().absolute()
        if missing := [name for name in ("llama", "mtmd") if not _holds(folder, name)]:
            raise UsageError(f"{LIBRARY_VARIABLE} {folder}: no lib{missing[0]} in it; name the folder that holds both")
        return folder
    if any(os.environ.get(name) for name in _OF_LLAMA_CPP_PYTHON):
        return None
    bundled = _bundled()
    return bundled if bundled is not None and _holds(bundled, "llama") and _holds(bundled, "mtmd") else None


def point_at(folder: Path) -> None:
    """Makes llama-cpp-python load its libraries from a folder, where it has not been imported yet."""
    for name in _OF_LLAMA_CPP_PYTHON:
        os.environ[name] = str(folder)


def load_backends(library: Any, folder: Path) -> None:
    """Loads the CPU's code where it lies in libraries of its own, one a kind of processor (GGML_BACKEND_DL)."""
    if any(path for path in folder.glob("*ggml-cpu-*") if path.suffix in _SUFFIXES):
        load = library.ggml_backend_load_all_from_path
        load.argtypes, load.restype = [ctypes.c_char_p], None
        load(os.fsencode(folder))


@contextmanager
def supported_platform() -> Iterator[None]:
    """Hides from llama-cpp-python 0.3.36 that this is Android, which it refuses by name alone."""
    platform = sys.platform
    if platform == "android":
        sys.platform = "linux"
    try:
        yield
    finally:
        sys.platform = platform


def _bundled() -> Path | None:
    try:
        # Most machines have no such folder, and the version in it takes longer to find out.
        if not (user_folder("XDG_DATA_HOME", ".local/share") / "native").is_dir():
            return None
        return native_folder() / "lib"
    except RuntimeError:  # no home, or no metadata
        return None


def _holds(folder: Path, name: str) -> bool:
    return any((folder / f"{prefix}{name}{suffix}").is_file() for prefix in ("lib", "") for suffix in _SUFFIXES)
