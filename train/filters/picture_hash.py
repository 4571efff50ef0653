"""Pictures that look the same: a difference hash, and a search among many.

A bit says whether the picture gets brighter from one cell of a coarse grid to the next, across or down (dHash). A
step has to be a visible one: on paper and flat backgrounds, where neighbours are equal, noise would set bits at
random.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

Hash = npt.NDArray[np.uint64]
"""512 bits, shape (8,)."""

GRID = 16
STEP = 3.0
"""Grey values, of 255, of the smallest step that counts."""
BITS = 2 * GRID * GRID


def picture_hash(picture: Image.Image) -> Hash:
    """The hash of a picture, uint64 (8,): alike for another size, quality or format of the same."""
    grey = picture.convert("L")
    across = np.asarray(grey.resize((GRID + 1, GRID), Image.Resampling.BOX), dtype=np.float32)
    down = np.asarray(grey.resize((GRID, GRID + 1), Image.Resampling.BOX), dtype=np.float32)
    bits = np.concatenate([(np.diff(across, axis=1) > STEP).ravel(), (np.diff(down, axis=0) > STEP).ravel()])
    return np.packbits(bits).view(np.uint64)


def distance(one: Hash, other: Hash) -> int:
    """How many bits differ."""
    return int(np.bitwise_count(one ^ other).sum())


class PictureIndex:
    """Hashes with the numbers of their owners. Exact: compares with all that have about as many bits set."""

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}

    def add(self, found: Hash, owner: int) -> None:
        """Keeps a hash."""
        group = self._groups.setdefault(int(np.bitwise_count(found).sum()), _Group())
        group.add(found, owner)

    def near(self, wanted: Hash, most: int) -> list[int]:
        """The owners of hashes of which at most so many bits differ, in the order in which they came."""
        bits = int(np.bitwise_count(wanted).sum())
        groups = [self._groups[count] for count in range(bits - most, bits + most + 1) if count in self._groups]
        return sorted({owner for group in groups for owner in group.near(wanted, most)})


class _Group:
    """A table that grows."""

    def __init__(self) -> None:
        self._hashes = np.empty((4, BITS // 64), dtype=np.uint64)
        self._owners: list[int] = []

    def add(self, found: Hash, owner: int) -> None:
        if len(self._owners) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[len(self._owners)] = found
        self._owners.append(owner)

    def near(self, wanted: Hash, most: int) -> list[int]:
        differing = np.bitwise_count(self._hashes[: len(self._owners)] ^ wanted).sum(axis=1)
        return [self._owners[place] for place in np.flatnonzero(differing <= most).tolist()]
