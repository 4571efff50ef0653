"""The sizes that the image processors of other models resize a picture to, number for number.

They compute in double precision; so does this, step by step in their order, since an exact fraction would
differ from them by a pixel now and then.
"""

import math
from dataclasses import dataclass
from functools import cache

Size = tuple[int, int]
"""Width and height in px."""

_IDEFICS3_LONGEST = 4096
"""Idefics3 lets no side be longer, whatever its configuration says."""


def idefics3_sizes(width: int, height: int, tile: int, longest: int) -> tuple[Size, Size]:
    """Sizes after the first and the second resize of transformers' Idefics3ImageProcessor and SmolVLM's.

    First the longest side becomes `longest`, the other one even; then both become multiples of `tile`.
    """
    across, down = _bounded(*_longest_side(width, height, longest))
    ratio = across / down
    if across >= down:
        to_across = math.ceil(across / tile) * tile
        to_down = math.ceil(int(to_across / ratio) / tile) * tile
    else:
        to_down = math.ceil(down / tile) * tile
        to_across = math.ceil(int(to_down * ratio) / tile) * tile
    return (across, down), (max(to_across, tile), max(to_down, tile))


def nanovlm_size(width: int, height: int, tile: int, longest: int, *, enlarge: bool) -> Size:
    """The size that nanoVLM's DynamicResize gives a picture: both sides multiples of `tile`.

    The longest side goes up to the next multiple, at most to `longest`, or to that one always where `enlarge` is
    set; the other side follows, rounded up.
    """
    long, short = max(width, height), min(width, height)
    to_long = longest if enlarge else min(longest, math.ceil(long / tile) * tile)
    to_short = max(tile, math.ceil(short * (to_long / long) / tile) * tile)
    return (to_long, to_short) if width >= height else (to_short, to_long)


@dataclass(frozen=True)
class Lfm2Rules:
    """What LFM2-VL's image processor is set to, beside its tile."""

    patch: int
    """Side of a patch in px."""
    least: int
    """Fewest visual tokens of a whole picture: a smaller one is enlarged."""
    most: int
    """Most visual tokens of a whole picture, and of the overview of one that is split."""
    min_tiles: int
    """Fewest tiles that a picture is split into."""
    split_above: int
    """A picture is split where it has more px than this, each side rounded to whole tokens."""


def lfm2_splits(width: int, height: int, unit: int, rules: Lfm2Rules) -> bool:
    """Whether transformers' Lfm2VlImageProcessor calls a picture too large for one tile."""
    across, down = (max(rules.patch, _half_even(side, unit) * unit) for side in (width, height))
    return across * down > rules.split_above


def lfm2_whole(width: int, height: int, unit: int, least: int, most: int) -> Size:
    """The size that its smart_resize gives a whole picture: `least` to `most` tokens, near the picture's shape.

    A picture of one row of tokens may take more than `most`.
    """
    across, down = (max(1, _half_even(side, unit)) for side in (width, height))
    if across * down > most:
        factor = math.sqrt((height * width) / (most * unit**2))
        across, down = (max(1, math.floor(side / factor / unit)) for side in (width, height))
    elif across * down < least:
        factor = math.sqrt((least * unit**2) / (height * width))
        across, down = (math.ceil(side * factor / unit) for side in (width, height))
    return across * unit, down * unit


def lfm2_grid(width: int, height: int, tile: int, min_tiles: int, max_tiles: int) -> tuple[int, int]:
    """Columns and rows of tiles nearest to the picture's shape; of two equally near, the one that its area fills."""
    best, nearest = (1, 1), math.inf
    for columns, rows in _lfm2_grids(min_tiles, max_tiles):
        gap = abs(width / height - columns / rows)
        fills = width * height > 0.5 * (tile * tile * columns * rows)
        if gap < nearest or (gap == nearest and fills):
            best, nearest = (columns, rows), gap
    return best


@cache
def _lfm2_grids(min_tiles: int, max_tiles: int) -> tuple[tuple[int, int], ...]:
    """Every grid of so many tiles, the smallest first."""
    sides = [(w, h) for n in range(min_tiles, max_tiles + 1) for w in range(1, n + 1) for h in range(1, n + 1)]
    # Grids of as many tiles come in the order of a set, as theirs do: it decides between two that are equally near.
    return tuple(sorted({side for side in sides if min_tiles <= side[0] * side[1] <= max_tiles}, key=math.prod))


def _half_even(side: int, unit: int) -> int:
    """side / unit to the nearest whole number, halves to the even one, as Python's round does."""
    whole, rest = divmod(2 * side + unit, 2 * unit)
    return whole - (rest == 0 and whole % 2)


def _longest_side(width: int, height: int, longest: int) -> Size:
    ratio = width / height
    if width >= height:
        down = int(longest / ratio)
        return longest, max(1, down + down % 2)
    across = int(longest * ratio)
    return max(1, across + across % 2), longest


def _bounded(width: int, height: int) -> Size:
    ratio = width / height
    if width >= height and width > _IDEFICS3_LONGEST:
        width, height = _IDEFICS3_LONGEST, int(_IDEFICS3_LONGEST / ratio)
    elif height > width and height > _IDEFICS3_LONGEST:
        width, height = int(_IDEFICS3_LONGEST * ratio), _IDEFICS3_LONGEST
    return max(1, width), max(1, height)
