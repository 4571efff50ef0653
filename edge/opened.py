"""Pictures that were opened and cut lately: the next question about one does not decode it again.

What a file holds decides and not its name, so one that was written anew is opened anew.
"""

import hashlib
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from PIL import Image

from magicvl.edge.bundle import Lock
from magicvl.edge.pixels import PictureSource
from magicvl.edge.request import CutPicture, open_and_cut

PIXEL_BYTES: Final = 16 * 2**20
"""What is kept: one picture of 24 tiles and a half."""
FILE_BYTES: Final = 64 * 2**20
"""Larger files are opened each time: to have them in memory as a whole would cost more than it saves."""


class OpenedPictures:
    """Cut pictures by their file's bytes and the budget, the least recently used out first."""

    def __init__(self, lock: Lock, limit: int = PIXEL_BYTES) -> None:
        self._lock = lock
        self._limit = limit
        self._kept: OrderedDict[tuple[bytes, int | None], CutPicture] = OrderedDict()
        self._busy = threading.Lock()

    def cut(self, source: PictureSource, budget: int | None) -> CutPicture:
        """As `magicvl.edge.request.open_and_cut`; tiles are read-only. Raises PictureError."""
        if isinstance(source, Image.Image) or (data := _bytes_of(source)) is None:
            return open_and_cut(source, self._lock, budget)
        key = hashlib.sha256(data).digest(), budget
        with self._busy:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        # Of the very bytes that were hashed: a file may change meanwhile.
        name = "picture" if isinstance(source, bytes) else os.fspath(source)
        made = open_and_cut(data, self._lock, budget, name=name)
        for tile in made.tiles:
            tile.setflags(write=False)
        with self._busy:
            self._kept[key] = made
            while self._kept and sum(map(_size, self._kept.values())) > self._limit:
                self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Gives up all that is kept."""
        with self._busy:
            self._kept.clear()


def _bytes_of(source: str | os.PathLike[str] | bytes) -> bytes | None:
    """What the file holds; None for files that are too large, or that cannot be read: opening them tells why."""
    if isinstance(source, bytes):
        return source
    try:
        path = Path(source)
        return path.read_bytes() if path.is_file() and 0 < path.stat().st_size <= FILE_BYTES else None
    except (OSError, ValueError):
        return None


def _size(picture: CutPicture) -> int:
    return sum(tile.nbytes for tile in picture.tiles)
