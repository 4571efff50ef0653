"""Which moments of a film are looked at: evenly spread over all of it, or over its scenes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

STEP: Final = 0.101
"""Seconds that two moments lie apart at least: times are shown with one decimal, and must not be written alike."""


def uniform_times(seconds: float, count: int) -> tuple[float, ...]:
    """The middles of `count` equal parts of a film, in seconds from its beginning.

    Fewer where they would lie less than STEP apart; one at least. Raises ValueError for a count below 1, and for a
    length that is negative or no number.
    """
    if count < 1 or not 0 <= seconds < float("inf"):
        raise ValueError(f"{count} moments of {seconds} seconds")
    fitting = max(1, min(count, int(seconds / STEP)))
    return tuple(seconds * (2 * i + 1) / (2 * fitting) for i in range(fitting))


def scene_times(seconds: float, count: int, cuts: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """`count` moments of a film that is cut into scenes: each scene has one at least, the longest have more.

    `cuts` are when a scene begins, in order, and how strong the change is. Where there are more scenes than moments the
    weakest cuts are left out, and so is one that would make a scene too short to be told apart in time. Without cuts
    it is `uniform_times`.
    """
    kept: list[float] = []
    for when, _ in sorted(cuts, key=lambda cut: -cut[1]):
        if len(kept) + 1 < count and all(abs(when - edge) >= 2 * STEP for edge in (0.0, seconds, *kept)):
            kept.append(when)
    edges = [0.0, *sorted(kept), seconds]
    scenes = list(pairwise(edges))
    shares = _shares([end - begin for begin, end in scenes], count)
    return tuple(
        begin + when
        for (begin, end), share in zip(scenes, shares, strict=True)
        for when in uniform_times(end - begin, share)
    )


def _shares(lengths: Sequence[float], count: int) -> list[int]:
    """How many of `count` moments each length has: one, and the rest goes where the parts are longest so far."""
    shares = [1] * len(lengths)
    for _ in range(count - len(lengths)):
        longest = max(range(len(lengths)), key=lambda i: lengths[i] / shares[i])
        shares[longest] += 1
    return shares
