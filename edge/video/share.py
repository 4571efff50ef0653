"""How many frames of a film are looked at, in how much detail, and how many at once.

Visual tokens are what it costs. Where nobody says otherwise a frame gets as many as one full tile has, so that the
encoder looks at it about once, and there is a frame for each second. A budget is for all frames together: it lowers
their number down to a few, and then what each of them gets; the plan scales it down and says so. How many are described
at once is bounded by what was trained, and by the context: it is first lowered to a few as well, then their detail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from magicvl.edge.plan import Grid, plan
from magicvl.edge.video.choose import STEP
from magicvl.edge.video.film import Film
from magicvl.errors import EngineError, UsageError

FEW: Final = 4
"""Frames that are rather seen in less detail than given up."""
USUAL: Final = (8, 64)
"""Fewest and most frames of a film where nobody says how many: short events want some, an hour would take too long."""
MOST: Final = 1024
"""Most frames that can be asked for."""
WINDOW: Final = 16
"""Frames that are described at once where nobody says how many: small models are trained with so many, and at a tile
each they take 2,304 tokens of context, which a phone has the memory for."""


@dataclass(frozen=True)
class Wish:
    """What the user says of it; None for what he leaves open."""

    frames: int | None = None
    """Of the whole film."""
    budget: int | None = None
    """Most visual tokens of all frames together."""
    window: int | None = None
    """Most frames that are described at once."""

    def __post_init__(self) -> None:
        for name, value, most in (("frames", self.frames, MOST), ("frames at once", self.window, MOST)):
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"{value:,} {name}: it must be 1 to {most:,}")
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"a budget of {self.budget} visual tokens: it must be at least 1")


@dataclass(frozen=True)
class Share:
    """What came of it."""

    frames: int
    frame_budget: int
    """Most visual tokens of each."""
    window: int
    """Most frames at once."""


def share_out(film: Film, seconds: float, grid: Grid, wish: Wish, room: Callable[[int], int]) -> Share:
    """The share of each frame of a film, of which `seconds` are to be looked at.

    `room` says how many visual tokens so many frames may take at once. Raises UsageError for a budget that leaves none
    for a frame, EngineError where the context does.
    """
    frames = wish.frames or _usual(film, seconds)
    detail = grid.tile_tokens
    if wish.budget is not None:
        if wish.frames is None:
            least = plan(film.width, film.height, grid, detail).tokens
            frames = min(frames, max(FEW, wish.budget // least))
        detail = wish.budget // frames
        if detail < 1:
            raise UsageError(f"a budget of {wish.budget} visual tokens for {frames} frames: each needs at least 1")
    tokens = plan(film.width, film.height, grid, detail).tokens
    window = min(wish.window or WINDOW, frames)
    while wish.window is None and window > FEW and window * tokens > room(window):
        window -= 1
    if window * tokens > (left := room(window)):
        detail = left // window
    if detail < 1:
        raise EngineError(f"no room for {window} frames in the context: ask for fewer tokens, or fewer frames at once")
    return Share(frames, detail, window)


def _usual(film: Film, seconds: float) -> int:
    """A frame for each second within limits, no more than there are, or can be told apart by their times."""
    least, most = USUAL
    there = most if film.count is None else ceil(film.count * seconds / film.seconds)
    return max(1, min(max(least, round(seconds)), most, there, int(seconds / STEP)))
