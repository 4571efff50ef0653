"""How many frames, how large, and how many at once: what is asked for is held, what is not is shared out."""

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.edge.plan import Grid, plan
from magicvl.edge.video.choose import STEP
from magicvl.edge.video.film import Film
from magicvl.edge.video.share import FEW, MOST, USUAL, WINDOW, Wish, share_out
from magicvl.errors import EngineError, UsageError

GRID = Grid()
"""Full tiles of 144 tokens, of which a picture may have 24."""


def _film(width: int, height: int, seconds: float, count: int | None = None) -> Film:
    return cast(Film, SimpleNamespace(width=width, height=height, seconds=seconds, count=count, name="film"))


SIDES, SECONDS = st.integers(16, 4000), st.floats(0.05, 10_000)
MAYBE = st.none() | st.integers(1, 60)


@given(
    width=SIDES, height=SIDES, seconds=SECONDS, frames=MAYBE, window=MAYBE, budget=st.none() | st.integers(60, 50_000)
)
def test_every_limit_holds(
    width: int, height: int, seconds: float, frames: int | None, window: int | None, budget: int | None
) -> None:
    room = lambda count: 8192 - 1024 - 8 * count  # noqa: E731 - what a context leaves
    made = share_out(_film(width, height, seconds), seconds, GRID, Wish(frames, budget, window), room)
    tokens = plan(width, height, GRID, made.frame_budget).tokens
    assert made.window * tokens <= room(made.window)
    assert made.frames == (frames or made.frames) and made.window <= min(made.frames, window or WINDOW)
    assert budget is None or made.frames * tokens <= budget
    if frames is None:
        assert 1 <= made.frames <= min(USUAL[1], max(1, int(seconds / STEP)))
    if budget is None:
        assert made.frame_budget <= GRID.tile_tokens
        assert frames is not None or made.frames == max(1, min(max(8, round(seconds)), 64, int(seconds / STEP)))
        if made.frame_budget < GRID.tile_tokens:
            assert made.window <= max(FEW, window or 0), "detail goes before the number at once did"


def test_a_budget_takes_frames_first_and_then_their_detail() -> None:
    film, room = _film(1920, 1080, 60.0), lambda count: 1_000_000
    shares = [share_out(film, 60.0, GRID, Wish(budget=budget), room) for budget in (100_000, 2_000, 576, 100)]
    assert [(share.frames, share.frame_budget) for share in shares] == [(60, 1666), (13, 153), (4, 144), (4, 25)]
    assert share_out(film, 60.0, GRID, Wish(frames=20, budget=100), room).frame_budget == 5


def test_a_small_context_takes_frames_at_once_first_and_then_their_detail() -> None:
    film = _film(1920, 1080, 60.0)
    made = [share_out(film, 60.0, GRID, Wish(), lambda count, left=left: left) for left in (5000, 1000, 300)]
    assert [(share.window, share.frame_budget) for share in made] == [(16, 144), (6, 144), (4, 75)]
    with pytest.raises(EngineError, match="no room for 4 frames in the context"):
        share_out(film, 60.0, GRID, Wish(), lambda count: 3)


def test_no_more_frames_than_there_are() -> None:
    assert share_out(_film(64, 64, 3.0, count=3), 3.0, GRID, Wish(), lambda count: 9999).frames == 3
    assert share_out(_film(64, 64, 30.0, count=30), 10.0, GRID, Wish(), lambda count: 9999).frames == 10
    assert share_out(_film(64, 64, 3.0, count=3), 3.0, GRID, Wish(frames=9), lambda count: 9999).frames == 9


def test_a_budget_that_leaves_nothing_for_a_frame_is_refused() -> None:
    with pytest.raises(UsageError, match="a budget of 7 visual tokens for 8 frames: each needs at least 1"):
        share_out(_film(64, 64, 3.0), 3.0, GRID, Wish(frames=8, budget=7), lambda count: 9999)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"frames": 0}, "0 frames: it must be 1 to 1,024"),
        ({"frames": MOST + 1}, "1,025 frames"),
        ({"window": 0}, "0 frames at once"),
        ({"budget": 0}, "a budget of 0 visual tokens"),
    ],
)
def test_wishes_that_cannot_be_meant_are_refused(wish: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Wish(**wish)
