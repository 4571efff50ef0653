"""Visual tokens of tiles that were looked at before: in memory, and on disk where wanted.

A tile's visual tokens depend on its pixels, on the encoder's weights and on the library that runs them, and on
nothing else: the key is a hash of these. What the disk holds is checked before it is used; whatever is wrong
there costs a second look, never an error.
"""

import hashlib
import struct
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from magicvl.edge.pixels import Pixels
from magicvl.errors import UsageError

if TYPE_CHECKING:
    import diskcache

Floats = npt.NDArray[np.float32]

MEMORY_BYTES = 64 * 2**20
"""What is kept in memory by default: 32 tiles of 256 tokens of a decoder that is 2,048 wide."""
DISK_BYTES = 2**30
"""What is kept on disk by default."""

_HEADER = struct.Struct("<II32s")  # rows, columns, sha256 of what follows


def tile_key(tile: Pixels, encoder: bytes) -> bytes:
    """The key of a tile's visual tokens; `encoder` stands for weights and library."""
    digest = hashlib.sha256(encoder)
    digest.update(struct.pack("<II", *tile.shape[:2]))
    digest.update(np.ascontiguousarray(tile, dtype=np.uint8).data)
    return digest.digest()


class TileCache:
    """Visual tokens by key, the least recently used out first."""

    def __init__(self, memory: int = MEMORY_BYTES, folder: Path | None = None, disk: int = DISK_BYTES) -> None:
        """At most `memory` bytes of tokens in memory and, with a `folder`, about `disk` bytes in there.

        Several processes may share a folder. Raises UsageError where it can't be written.
        """
        self.hits = self.misses = 0
        self._memory: OrderedDict[bytes, Floats] = OrderedDict()
        self._limit = memory
        self._held = 0
        self._disk = _open(folder, disk) if folder is not None else None

    def get(self, key: bytes) -> Floats | None:
        """Visual tokens (tokens, width), read-only, or None."""
        found = self._memory.get(key)
        if found is not None:
            self._memory.move_to_end(key)
        elif (found := self._read(key)) is not None:
            self._remember(key, found)
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, key: bytes, embeddings: Floats) -> None:
        """Keeps visual tokens (tokens, width)."""
        rows = np.ascontiguousarray(embeddings, dtype=np.float32)
        rows.flags.writeable = False
        self._remember(key, rows)
        if self._disk is not None:
            data = rows.tobytes()
            try:
                self._disk.set(key, _HEADER.pack(*rows.shape, hashlib.sha256(data).digest()) + data)
            except Exception:  # a full disk, a lock held for a minute, a database that someone cut short
                self._drop()

    def clear(self) -> None:
        """Forgets what is in memory."""
        self._memory.clear()
        self._held = 0

    def close(self) -> None:
        """Forgets what is in memory and closes the folder."""
        self.clear()
        if self._disk is not None:
            self._disk.close()

    def _remember(self, key: bytes, rows: Floats) -> None:
        if (before := self._memory.pop(key, None)) is not None:
            self._held -= before.nbytes
        if rows.nbytes > self._limit:
            return
        self._memory[key] = rows
        self._held += rows.nbytes
        while self._held > self._limit:
            self._held -= self._memory.popitem(last=False)[1].nbytes

    def _read(self, key: bytes) -> Floats | None:
        if self._disk is None:
            return None
        try:
            data: object = self._disk.get(key)
        except Exception:  # as above: diskcache passes on what files and SQLite say, and has a Timeout of its own
            self._drop()
            return None
        return _parse(data) if isinstance(data, bytes) else None

    def _drop(self) -> None:
        """Goes on without the folder: what failed once would fail, and wait, at every tile."""
        self._disk = None


def _parse(data: bytes) -> Floats | None:
    """The tokens of an entry; None where it is damaged."""
    if len(data) < _HEADER.size:
        return None
    rows, columns, digest = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if len(body) != 4 * rows * columns or hashlib.sha256(body).digest() != digest:
        return None
    return np.frombuffer(body, dtype=np.float32).reshape(rows, columns)


def _open(folder: Path, limit: int) -> "diskcache.Cache":
    try:
        return _cache(folder, limit)
    except Exception as error:
        raise UsageError(f"{folder}: the cache of tiles can't be opened there ({error}); give another folder") from None


def _cache(folder: Path, limit: int) -> "diskcache.Cache":
    import diskcache

    class Bytes(diskcache.Disk):  # type: ignore[misc,unused-ignore]
        """Bytes and nothing else: a pickle in the folder is not ours, and reading one runs what it says."""

        def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
            if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
                return None
            return super().fetch(mode, filename, value, read)

    return diskcache.Cache(str(folder), disk=Bytes, size_limit=limit, eviction_policy="least-recently-used")
