"""Where objects go in a picture so that no two are mistaken for each other, and what a place is called."""

import random
from collections.abc import Sequence
from typing import Literal

from magicvl.train.nano.scenes import POSITIONS

Layout = Literal["free", "cells", "row", "column"]
Px = tuple[int, int, int, int]
"""Left, top, right, bottom."""
_TRIES = 60


def arrange(
    rng: random.Random, sizes: Sequence[tuple[int, int]], picture: tuple[int, int], layout: Layout, overlap: float = 0.0
) -> list[Px] | None:
    """A box for each size (width, height) within the picture; None where they don't fit.

    free: anywhere, no two share more than `overlap` of the smaller one's area. cells: each in a cell of its own of
    a 3 x 3 grid, its middle well inside. row and column: in this order from left to right, or from top to bottom.
    """
    if layout == "free":
        return _free(rng, sizes, picture, overlap)
    if layout == "cells":
        return _cells(rng, sizes, picture)
    if layout == "row":
        return _row(rng, sizes, picture)
    flipped = _row(rng, [(height, width) for width, height in sizes], (picture[1], picture[0]))
    return flipped and [(top, left, bottom, right) for left, top, right, bottom in flipped]


def place_of(box: Px, picture: tuple[int, int]) -> str:
    """The place word of a box: that of the cell of the 3 x 3 grid in which its middle lies."""
    column = min(2, int((box[0] + box[2]) / 2 / picture[0] * 3))
    row = min(2, int((box[1] + box[3]) / 2 / picture[1] * 3))
    return POSITIONS[3 * row + column]


def shared(one: Px, other: Px) -> float:
    """What two boxes share, of the smaller one's area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))


def _free(
    rng: random.Random, sizes: Sequence[tuple[int, int]], picture: tuple[int, int], overlap: float
) -> list[Px] | None:
    placed: dict[int, Px] = {}
    for number in sorted(range(len(sizes)), key=lambda n: -sizes[n][0] * sizes[n][1]):
        width, height = sizes[number]
        if width > picture[0] or height > picture[1]:
            return None
        for _ in range(_TRIES):
            left, top = rng.randint(0, picture[0] - width), rng.randint(0, picture[1] - height)
            box = (left, top, left + width, top + height)
            if all(shared(box, other) <= overlap for other in placed.values()):
                placed[number] = box
                break
        else:
            return None
    return [placed[number] for number in range(len(sizes))]


def _cells(rng: random.Random, sizes: Sequence[tuple[int, int]], picture: tuple[int, int]) -> list[Px] | None:
    if len(sizes) > 9:
        return None
    wide, high = picture[0] / 3, picture[1] / 3
    boxes = []
    for cell, (width, height) in zip(rng.sample(range(9), len(sizes)), sizes, strict=True):
        if width > wide or height > high:
            return None
        # At most a fifth of a cell from its middle: nobody would call it another place.
        across = min((wide - width) / 2, wide / 5) * rng.uniform(-1, 1)
        down = min((high - height) / 2, high / 5) * rng.uniform(-1, 1)
        left = int((cell % 3 + 0.5) * wide + across - width / 2)
        top = int((cell // 3 + 0.5) * high + down - height / 2)
        boxes.append((left, top, left + width, top + height))
    return boxes


def _row(rng: random.Random, sizes: Sequence[tuple[int, int]], picture: tuple[int, int]) -> list[Px] | None:
    spare = picture[0] - sum(width for width, _ in sizes)
    if spare < 0 or any(height > picture[1] for _, height in sizes):
        return None
    cuts = sorted(rng.randint(0, spare) for _ in sizes)
    middle = rng.randint(round(picture[1] * 0.35), round(picture[1] * 0.65))
    boxes, used = [], 0
    for (width, height), cut in zip(sizes, cuts, strict=True):
        top = min(max(0, middle - height // 2 + round(height * rng.uniform(-0.15, 0.15))), picture[1] - height)
        boxes.append((cut + used, top, cut + used + width, top + height))
        used += width
    return boxes
