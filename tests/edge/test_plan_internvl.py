"""The policy internvl: whole tiles in the nearest grid and an overview, as InternVL's authors cut."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicvl.convert.bundle import convert
from magicvl.edge.bundle import read_bundle
from magicvl.edge.pixels import cut
from magicvl.edge.plan import Grid, internvl_grid, plan
from magicvl.edge.reference_sizes import lfm2_grid
from magicvl.errors import UsageError

sides = st.integers(1, 6000)


def theirs(width: int, height: int, tile: int, most: int) -> tuple[int, int]:
    """The rule of the published model code, in floating point; grids of as many tiles in any order."""
    grids = {(c, r) for n in range(1, most + 1) for c in range(1, n + 1) for r in range(1, n + 1) if c * r <= most}
    best, gap = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        other = abs(width / height - columns / rows)
        if other < gap or (other == gap and width * height > 0.5 * tile * tile * columns * rows):
            best, gap = (columns, rows), other
    return best


@given(sides, sides, st.integers(1, 16))
def test_the_grid_is_theirs(width: int, height: int, most: int) -> None:
    ours, expected = internvl_grid(width, height, 384, most), theirs(width, height, 384, most)
    gaps = [abs(width / height - columns / rows) for columns, rows in (ours, expected)]
    # Where two grids of one size are equally near, the order of a set decides theirs.
    assert ours == expected or gaps[0] == pytest.approx(gaps[1], rel=1e-12)


@given(sides, sides, st.integers(1, 12))
def test_the_grid_is_lfm2s_which_took_the_rule(width: int, height: int, most: int) -> None:
    ours, other = internvl_grid(width, height, 384, most), lfm2_grid(width, height, 384, 1, most)
    gaps = [abs(width / height - columns / rows) for columns, rows in (ours, other)]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-12)


@given(sides, sides, st.integers(1, 13))
def test_tiles_are_full_and_cover_the_picture(width: int, height: int, most: int) -> None:
    its = plan(width, height, Grid(policy="internvl", max_tiles=most))
    whole = [box for i, box in enumerate(its.tile_boxes) if i != its.overview]
    assert all(right - left == 384 and bottom - top == 384 for left, top, right, bottom in whole)
    assert sum((right - left) * (bottom - top) for left, top, right, bottom in whole) == np.prod(its.resized)
    assert len(its.tile_boxes) <= most
    assert set(its.tile_tokens) == {144}
    assert (its.overview is not None) == (len(whole) > 1)
    assert its.columns * its.rows == len(whole)


@given(sides, sides, st.integers(144, 3000))
def test_a_budget_takes_fewer_tiles(width: int, height: int, budget: int) -> None:
    grid = Grid(policy="internvl", max_tiles=13)
    its, free = plan(width, height, grid, budget), plan(width, height, grid)
    assert its.tokens <= budget
    assert (its == free) == (free.tokens <= budget)


def test_limits_are_said() -> None:
    with pytest.raises(UsageError, match="144 at least"):
        plan(100, 100, Grid(policy="internvl"), 143)
    with pytest.raises(UsageError, match="at most 64 tiles and an overview"):
        Grid(policy="internvl", max_tiles=66)


def test_pixels_of_the_overview_are_the_whole_picture() -> None:
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (500, 900, 3), dtype=np.uint8))
    its = plan(900, 500, Grid(policy="internvl", max_tiles=7))
    tiles = cut(picture, its)
    assert [tile.shape for tile in tiles] == [(384, 384, 3)] * len(its.tile_boxes)
    assert its.overview == len(tiles) - 1 == its.columns * its.rows
    small = np.asarray(picture.resize((384, 384), Image.Resampling.BILINEAR))
    assert (tiles[-1] == small).all()


def test_a_checkpoint_keeps_its_policy_in_the_bundle(build_tiny: object, save_tiny: object, tmp_path: Path) -> None:
    checkpoint = save_tiny(build_tiny(policy="internvl", max_tiles=5), tmp_path / "it", policy="internvl", max_tiles=5)  # type: ignore[operator]
    convert(checkpoint, tmp_path / "bundle")
    grid = read_bundle(tmp_path / "bundle").lock.grid
    assert (grid.policy, grid.max_tiles, grid.most_split) == ("internvl", 5, 4)
