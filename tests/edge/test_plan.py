"""The plan's promises, for any picture and any grid."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.plan import Grid, Plan, plan
from magicvl.errors import UsageError

SIDES = st.integers(1, 20_000) | st.sampled_from([1, 15, 16, 17, 31, 32, 33, 47, 48, 383, 384, 385, 400, 9_216])
GRIDS = st.sampled_from([Grid(), Grid(32, 384, 1), Grid(32, 32, 7), Grid(28, 336, 9), Grid(16, 64, 24)])
# A busy machine may take its time over one example.
patient = settings(deadline=None)
BUDGETS = st.none() | st.integers(1, 5_000)


def bound(made: Plan, grid: Grid) -> bool:
    """Whether a limit had to shrink the picture, by the definition and not by the code under test."""
    nearest = [max(1, int(Fraction(side, grid.unit) + Fraction(1, 2))) for side in (made.width, made.height)]
    return made.resized != tuple(side * grid.unit for side in nearest)


@patient
@given(SIDES, SIDES, GRIDS, BUDGETS)
def test_limits_hold_and_tokens_add_up(width: int, height: int, grid: Grid, budget: int | None) -> None:
    made = plan(width, height, grid, budget)
    across, down = made.resized
    assert across % grid.unit == 0 and down % grid.unit == 0 and min(across, down) >= grid.unit
    assert 1 <= len(made.tile_boxes) <= grid.max_tiles
    assert made.tokens == sum(made.tile_tokens) == across * down // grid.unit**2 <= grid.max_tokens
    assert budget is None or made.tokens <= budget
    assert made.unit == grid.unit and made.sides == (across // grid.unit, down // grid.unit)
    for (left, top, right, bottom), tokens in zip(made.tile_boxes, made.tile_tokens, strict=True):
        assert tokens == (right - left) // grid.unit * ((bottom - top) // grid.unit)


@patient
@given(SIDES, SIDES, GRIDS, BUDGETS)
def test_tiles_cover_the_resized_picture_exactly_once(width: int, height: int, grid: Grid, budget: int | None) -> None:
    made = plan(width, height, grid, budget)
    covered: set[tuple[int, int]] = set()
    for left, top, right, bottom in made.tile_boxes:
        assert right - left <= grid.tile and bottom - top <= grid.tile
        cells = {(x, y) for x in range(left, right, grid.unit) for y in range(top, bottom, grid.unit)}
        assert not cells & covered
        covered |= cells
    across, down = made.resized
    assert covered == {(x, y) for x in range(0, across, grid.unit) for y in range(0, down, grid.unit)}


@patient
@given(SIDES, SIDES, GRIDS, BUDGETS)
def test_tiles_stand_in_raster_order(width: int, height: int, grid: Grid, budget: int | None) -> None:
    made = plan(width, height, grid, budget)
    rows = [made.tile_boxes[i : i + made.columns] for i in range(0, len(made.tile_boxes), made.columns)]
    assert [box[:2] for row in rows for box in row] == sorted(
        (box[:2] for box in made.tile_boxes), key=lambda corner: corner[::-1]
    )
    assert all(len(row) == made.columns and len({box[1] for box in row}) == 1 for row in rows)


@patient
@given(SIDES, SIDES)
def test_no_side_moves_by_more_than_half_a_token_where_nothing_binds(width: int, height: int) -> None:
    grid = Grid()
    made = plan(width, height, grid)
    if bound(made, grid):
        assert made.scale < 1
        return
    assert made.scale == 1
    for side, resized in zip((width, height), made.resized, strict=True):
        assert abs(side - resized) <= 16 or (side < 16 and resized == 32)


@patient
@given(SIDES, SIDES, GRIDS, BUDGETS)
def test_the_scale_tells_of_every_reduction(width: int, height: int, grid: Grid, budget: int | None) -> None:
    made = plan(width, height, grid, budget)
    if bound(made, grid):
        assert made.scale == max(made.resized) / max(width, height) < 1
    else:
        assert made.scale == 1


@patient
@given(SIDES, SIDES, GRIDS, BUDGETS)
def test_a_reduced_picture_keeps_its_shape_within_rounding(
    width: int, height: int, grid: Grid, budget: int | None
) -> None:
    made = plan(width, height, grid, budget)
    long, short = max(made.resized), min(made.resized)
    if made.scale < 1:
        exact = Fraction(min(width, height), max(width, height)) * long
        assert abs(short - exact) <= Fraction(grid.unit, 2) or short == grid.unit
    assert (made.resized[0] >= made.resized[1]) == (width >= height) or made.resized[0] == made.resized[1]


@patient
@given(SIDES, SIDES, GRIDS, st.integers(1, 5_000))
def test_no_larger_picture_would_fit(width: int, height: int, grid: Grid, budget: int) -> None:
    made = plan(width, height, grid, budget)
    if made.scale == 1:
        return
    long = max(made.resized) // grid.unit + 1
    short = max(1, int(Fraction(min(width, height) * long, max(width, height)) + Fraction(1, 2)))
    per_side = grid.tile // grid.unit
    tiles = -(-long // per_side) * -(-short // per_side)
    nearest = max(1, int(Fraction(max(width, height), grid.unit) + Fraction(1, 2)))
    assert long * short > budget or tiles > grid.max_tiles or long >= nearest


def test_halves_go_up_and_large_sides_stay_exact() -> None:
    assert plan(48, 47, Grid()).resized == (64, 32)
    # A float would round 2**60 + 15 to 2**60.
    huge = Grid(32, 2**60 + 64, 1)
    assert plan(2**60 + 15, 32, huge).resized == (2**60, 32)
    assert plan(2**60 + 16, 32, huge).resized == (2**60 + 32, 32)


def test_a_line_of_a_million_pixels_is_planned_at_once() -> None:
    made = plan(10**9, 1, Grid())
    assert made.resized == (24 * 384, 32)
    assert len(made.tile_boxes) == 24


@pytest.mark.parametrize(
    ("size", "resized", "tiles", "tokens"),
    [
        ((32, 768), (32, 768), 2, 24),
        ((32, 32), (32, 32), 1, 1),
        ((1, 1), (32, 32), 1, 1),
        ((416, 448), (416, 448), 4, 182),
        ((2304, 1536), (2304, 1536), 24, 3456),
        ((4032, 3024), (2048, 1536), 24, 3072),
    ],
)
def test_known_pictures(size: tuple[int, int], resized: tuple[int, int], tiles: int, tokens: int) -> None:
    made = plan(*size, Grid())
    assert (made.resized, len(made.tile_boxes), made.tokens) == (resized, tiles, tokens)


def test_json_is_the_documented_object() -> None:
    assert plan(900, 500, Grid(), 100).to_json() == {
        "width": 900,
        "height": 500,
        "resized": [416, 224],
        "tiles": 2,
        "tokens": 91,
        "scale": round(416 / 900, 6),
    }


@patient
@given(SIDES, SIDES, st.sampled_from([Grid(), Grid(32, 128, 6), Grid(32, 32, 7)]), st.integers(1, 50), BUDGETS)
def test_a_small_picture_is_enlarged_as_far_as_it_should(
    width: int, height: int, grid: Grid, least: int, budget: int | None
) -> None:
    least = min(least, grid.max_tokens)
    plain, made = plan(width, height, grid, budget), plan(width, height, replace(grid, min_tokens=least), budget)
    assert made.scale == plain.scale
    assert budget is None or made.tokens <= budget
    if plain.tokens >= least or plain.scale < 1:
        assert made == plain
        return
    long, short = (side // grid.unit for side in sorted(made.resized, reverse=True))
    shape = Fraction(min(width, height), max(width, height))
    assert abs(short - shape * long) <= Fraction(1, 2) or short == 1
    # One token longer would not fit where it has too few; one token shorter would be too few.
    other = max(1, int(shape * (long + 1) + Fraction(1, 2)))
    per_side = grid.tile // grid.unit
    tiles = -(-(long + 1) // per_side) * -(-other // per_side)
    fits = tiles <= grid.max_tiles and (budget is None or (long + 1) * other <= budget)
    assert made.tokens >= least or not fits
    assert made == plain or (long - 1) * max(1, int(shape * (long - 1) + Fraction(1, 2))) < least


@pytest.mark.parametrize(("least", "policy"), [(0, "native"), (145, "native"), (2, "internvl")])
def test_least_tokens_that_cannot_be(least: int, policy: str) -> None:
    with pytest.raises(UsageError, match="1 to 144 can be had, and by the policy native alone"):
        Grid(32, 384, 1, policy, min_tokens=least)


@pytest.mark.parametrize(("width", "height", "budget"), [(0, 5, None), (5, -1, None), (5, 5, 0), (5, 5, -3)])
def test_impossible_requests_are_refused(width: int, height: int, budget: int | None) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        plan(width, height, Grid(), budget)


@pytest.mark.parametrize("grid", [(0, 384, 24), (32, 383, 24), (32, 0, 24), (32, 384, 0)])
def test_impossible_grids_are_refused(grid: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="multiple"):
        Grid(*grid)
