"""Hashes of large files, computed once: a file that nothing has written to since is not read again.

Reading a model of a gigabyte takes a phone seconds, at each start. What tells that a file is the same is its place,
its inode, its size and its times; the time of its last change can't be set by a program. A disk that loses bits by
itself is found by `magicvl inspect --verify`, which reads every byte.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from magicvl.edge.bundle import sha256
from magicvl.edge.files import user_folder, whole_file

SMALL: Final = 2**25
"""Bytes up to which a file is read each time: that takes no longer than looking it up is worth."""
SETTLED_NS: Final = 2 * 10**9
"""A file written this recently could be written to again within one tick of the file system's clock."""
MOST_BYTES: Final = 2**12
"""A record of more is not ours."""


def known_sha256(path: Path) -> str:
    """Hash of a file, read in pieces where it is not known. Raises OSError where it cannot be read."""
    before = _marks(path)
    if before["size"] <= SMALL:
        return sha256(path)
    if (known := _load(path, before)) is not None:
        return known
    found = sha256(path)
    settled = time.time_ns() - max(before["written"], before["changed"]) > SETTLED_NS
    if settled and _marks(path) == before:
        _save(path, before, found)
    return found


def _marks(path: Path) -> dict[str, int]:
    its = path.stat()
    return {
        "device": its.st_dev,
        "inode": its.st_ino,
        "size": its.st_size,
        "written": its.st_mtime_ns,
        "changed": its.st_ctime_ns,
    }


def _record(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return user_folder("XDG_CACHE_HOME", ".cache") / "hashes" / f"{name}.json"


def _load(path: Path, marks: dict[str, int]) -> str | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError, RuntimeError):
        record = _record(path)
        if record.stat().st_size <= MOST_BYTES:
            data = json.loads(record.read_bytes())
            if data["marks"] == marks and isinstance(data["sha256"], str):
                return str(data["sha256"])
    return None


def _save(path: Path, marks: dict[str, int], found: str) -> None:
    # Without a folder to keep it in, the file is read again.
    with suppress(OSError, RuntimeError):
        record = _record(path)
        record.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(record) as partial:
            partial.write_text(json.dumps({"marks": marks, "sha256": found}))
