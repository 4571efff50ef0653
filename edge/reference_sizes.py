"""The sizes that the image processors of other models resize a picture to, number for number.

They compute in double precision; so does this, step by step in their order, since an exact fraction would
differ from them by a pixel now and then.
"""

import math

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
