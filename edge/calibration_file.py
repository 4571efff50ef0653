"""Calibrations on disk: one small JSON file for each bundle, machine, build of the library, and number of threads.

They lie in the user's cache folder, so whoever empties it pays with a few seconds of measuring. A file that is
damaged, or of another version of this program, is as good as none.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from magicvl.edge.bundle import Lock
from magicvl.edge.calibration import Calibration, from_json
from magicvl.edge.files import user_folder, whole_file
from magicvl.edge.threads import default_threads, processor, thread_counts

FORMAT: Final = 1
"""Counted up when what is measured, or how, changes its meaning."""
MOST_BYTES: Final = 2**16
"""A file of more is not ours."""


def calibration_path(key: Mapping[str, object]) -> Path:
    """Where the calibration of a `calibration_key` lies."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return user_folder("XDG_CACHE_HOME", ".cache") / "calibration" / f"{name}.json"


def load_calibration(lock: Lock, threads: int | None = None) -> Calibration | None:
    """The calibration of a bundle on this machine, None where there is none that can be read. No native code runs."""
    try:
        key = calibration_key(lock, threads)
        path = calibration_path(key)
        if path.stat().st_size > MOST_BYTES:
            return None
        data = json.loads(path.read_bytes())
        # The name is only a hash, and files get copied.
        if data["key"] != key:
            return None
        found = from_json(data["calibration"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, RuntimeError):
        return None
    return found if found.threads in (thread_counts() if threads is None else (threads,)) else None


def best_threads(lock: Lock) -> int:
    """The number of threads that was measured to be the fastest; `default_threads` where none was measured."""
    found = load_calibration(lock)
    return default_threads() if found is None else found.threads


def save_calibration(lock: Lock, threads: int | None, calibration: Calibration) -> bool:
    """Keeps a calibration; the file is there whole or not at all. False where the folder can't be written."""
    try:
        key = calibration_key(lock, threads)
        path = calibration_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(json.dumps({"key": key, "calibration": calibration.to_json()}))
    except (OSError, RuntimeError):
        return False
    return True


def calibration_key(lock: Lock, threads: int | None) -> dict[str, object]:
    """What the numbers depend on, beside what else the machine does; `threads` is None for the fastest count."""
    return {
        "format": FORMAT,
        "files": {role: entry.sha256 for role, entry in lock.answering.items()},
        "picture": repr(lock.grid),
        "library": _library(),
        "processor": processor(),
        "threads": list(thread_counts()) if threads is None else threads,
    }


def _library() -> str:
    """The native library by its files, so that nothing has to be loaded to know it."""
    spec = find_spec("llama_cpp")
    folders = [Path(place) / "lib" for place in (spec.submodule_search_locations or ())] if spec else []
    folders += [Path(os.environ[name]) for name in ("LLAMA_CPP_LIB_PATH", "MTMD_CPP_LIB") if os.environ.get(name)]
    digest = hashlib.sha256()
    for file in (file for folder in folders for file in sorted(folder.glob("lib*"))):
        status = file.stat()
        digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
