"""Pictures cut as other makers cut them: full tiles that cover the picture, an overview, and counts that add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magicvl.edge.draw import draw_plan
from magicvl.edge.pixels import cut
from magicvl.edge.plan import Grid, Plan, plan
from magicvl.edge.prompt import Picture, Pieces, Text, Tile, expand
from magicvl.edge.reference_sizes import idefics3_sizes, nanovlm_size
from magicvl.errors import UsageError

SIDES = st.integers(1, 20_000) | st.sampled_from([1, 63, 64, 65, 127, 255, 256, 257])
SQUARE = Grid(16, 64, 1, policy="square")
IDEFICS3 = Grid(16, 64, 26, policy="idefics3", longest=300, resample="lanczos")
NANOVLM = Grid(16, 64, 17, policy="nanovlm", longest=256, enlarge=False)
WITHOUT_OVERVIEW = Grid(16, 64, 16, policy="nanovlm", longest=256, overview=False, resample="bicubic")
WITH_REST = Grid(42, 384, 26, policy="idefics3", longest=1920)
GRIDS = [SQUARE, IDEFICS3, NANOVLM, WITHOUT_OVERVIEW, WITH_REST]
patient = settings(deadline=None)


def tiles_proper(made: Plan) -> list[tuple[int, int, int, int]]:
    return [box for i, box in enumerate(made.tile_boxes) if i != made.overview]


@patient
@given(SIDES, SIDES, st.sampled_from(GRIDS))
def test_full_tiles_cover_the_picture_and_counts_add_up(width: int, height: int, grid: Grid) -> None:
    made = plan(width, height, grid)
    across, down = made.resized
    proper = tiles_proper(made)
    corners = [(x, y) for y in range(0, down, grid.tile) for x in range(0, across, grid.tile)]
    assert [(x, y, x + grid.tile, y + grid.tile) for x, y in corners] == proper
    assert len(proper) == made.columns * made.rows
    assert set(made.tile_tokens) == {(grid.tile // grid.unit) ** 2}
    assert made.tokens == sum(made.tile_tokens) and len(made.tile_tokens) == len(made.tile_boxes) <= grid.max_tiles
    assert made.scale == min(1.0, max(made.resized) / max(width, height))
    if len(proper) == 1:
        assert made.overview is None
    else:
        places = {"idefics3": len(proper), "nanovlm": 0 if grid.overview else None}
        assert made.overview == places[grid.policy]
    if made.overview is not None:
        assert made.tile_boxes[made.overview] == (0, 0, across, down)


@patient
@given(SIDES, SIDES, st.sampled_from([IDEFICS3, NANOVLM]), st.integers(16, 300))
def test_a_budget_holds_and_takes_the_most_that_fits(width: int, height: int, grid: Grid, budget: int) -> None:
    made = plan(width, height, grid, budget)
    assert made.tokens <= budget
    free = plan(width, height, grid)
    assert made.tokens <= free.tokens
    assert made == free or free.tokens > budget


@pytest.mark.parametrize("grid", GRIDS)
def test_a_budget_below_one_tile_is_refused(grid: Grid) -> None:
    least = (grid.tile // grid.unit) ** 2
    with pytest.raises(UsageError, match=f"takes this model {least} at least"):
        plan(50, 50, grid, least - 1)


def test_known_sizes() -> None:
    # Idefics3's own numbers: longest side 4 x 364, tiles of 364.
    assert idefics3_sizes(1000, 600, 364, 1456) == ((1456, 874), (1456, 1092))
    assert idefics3_sizes(600, 1000, 364, 1456) == ((874, 1456), (1092, 1456))
    assert idefics3_sizes(10_000, 1, 512, 2048) == ((2048, 1), (2048, 512))
    assert idefics3_sizes(1, 10_000, 512, 2048) == ((1, 2048), (512, 2048))
    assert idefics3_sizes(3, 2, 512, 5000)[0] == (4096, 2731)
    assert nanovlm_size(500, 300, 512, 2048, enlarge=False) == (512, 512)
    assert nanovlm_size(500, 300, 512, 2048, enlarge=True) == (2048, 1536)
    assert nanovlm_size(3000, 1, 512, 2048, enlarge=False) == (2048, 512)
    assert nanovlm_size(1, 700, 512, 2048, enlarge=False) == (512, 1024)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"policy": "fisheye"}, "there are native, square"),
        ({"resample": "nearest"}, "bilinear, bicubic, lanczos"),
        ({"policy": "idefics3"}, "need one"),
        ({"policy": "idefics3", "longest": 63}, "at least a tile, 64 px"),
        ({"policy": "nanovlm", "longest": 100}, "a multiple of its 64 px tile"),
        ({"policy": "square", "longest": 64}, "the others have none"),
    ],
)
def test_grids_that_no_reference_has_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Grid(16, 64, 4, **fields)  # type: ignore[arg-type]


def test_tiles_are_pillows_resize_and_the_overview_shrinks_the_resized_picture() -> None:
    picture = Image.effect_noise((300, 130), 90).convert("RGB")
    made = plan(300, 130, IDEFICS3)
    assert made.steps == ((300, 130),) and made.resized == (320, 192)
    tiles = cut(picture, made)
    whole = picture.resize((320, 192), Image.Resampling.LANCZOS)
    assert [tile.shape for tile in tiles] == [(64, 64, 3)] * 16
    assert np.array_equal(np.asarray(whole)[64:128, 128:192], tiles[7])
    assert np.array_equal(np.asarray(whole.resize((64, 64), Image.Resampling.LANCZOS)), tiles[-1])
    first = cut(picture, plan(300, 130, NANOVLM))
    whole = picture.resize((256, 128), Image.Resampling.BILINEAR)
    assert np.array_equal(np.asarray(whole.resize((64, 64), Image.Resampling.BILINEAR)), first[0])
    assert np.array_equal(np.asarray(whole)[:64, :64], first[1])


def texts(pieces: Pieces, *plans: Plan) -> str:
    parts = expand([Picture(i) for i in range(len(plans))], plans, pieces)
    return "".join(part.text if isinstance(part, Text) else f"[{part.tile}]" for part in parts)


def test_pieces_stand_where_the_references_write_them() -> None:
    wide, small = plan(256, 128, NANOVLM), plan(9, 9, NANOVLM)
    nano = Pieces("", "", "", "", "<{row},{column}>", "<all>", "<all>", each="#{picture}:")
    grid = "<all>[0]<1,1>[1]<1,2>[2]<1,3>[3]<1,4>[4]<2,1>[5]<2,2>[6]<2,3>[7]<2,4>[8]"
    assert texts(nano, wide) == grid
    assert texts(nano, small) == "<all>[0]"
    assert texts(nano, wide, small) == f"#0:{grid}#1:<all>[0]"
    last = plan(128, 256, Grid(16, 64, 5, policy="idefics3", longest=128))
    idefics3 = Pieces("", "", "/", "<f>", "<f><{row},{column}>", "//<f><all>", "<f><all>")
    assert texts(idefics3, last) == "<f><1,1>[0]/<f><2,1>[1]//<f><all>[2]<f>"
    assert texts(idefics3, plan(5, 5, Grid(16, 64, 1, policy="square"))) == "<f><all>[0]<f>"


def test_a_piece_cannot_reach_into_objects() -> None:
    made = plan(128, 64, WITHOUT_OVERVIEW)
    assert texts(Pieces("", "", "", "", tile="{row.__class__}{0}"), made).count("{row.__class__}{0}") == len(
        made.tile_boxes
    )


def test_json_names_the_overview_where_there_is_one() -> None:
    assert plan(256, 128, NANOVLM).to_json()["overview"] == 0
    assert "overview" not in plan(256, 128, WITHOUT_OVERVIEW).to_json()
    assert "overview" not in plan(256, 128, Grid()).to_json()


def test_the_overview_is_drawn_beside_the_picture() -> None:
    picture = Image.effect_noise((256, 128), 90).convert("RGB")
    made = plan(256, 128, NANOVLM)
    drawn = draw_plan(picture, made, NANOVLM)
    assert drawn.size == (256 + 16 + 64, 128)
    beside = np.asarray(drawn).astype(int)[:64, -64:]
    tile = cut(picture, made)[0].astype(int)
    # Away from borders, number and token lines it is the tile itself.
    assert np.array_equal(beside[20:30, 36:46], tile[20:30, 36:46])
    assert (np.asarray(drawn)[100:, -60:] == 255).all()


def test_every_tile_of_an_expanded_picture_is_there_once() -> None:
    made = plan(300, 200, IDEFICS3)
    found = [part.tile for part in expand([Picture(0)], [made], Pieces()) if isinstance(part, Tile)]
    assert found == list(range(len(made.tile_boxes)))
