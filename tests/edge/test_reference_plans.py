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
from magicvl.edge.reference_sizes import Lfm2Rules, idefics3_sizes, lfm2_grid, lfm2_whole, nanovlm_size
from magicvl.errors import UsageError

SIDES = st.integers(1, 20_000) | st.sampled_from([1, 63, 64, 65, 127, 255, 256, 257])
SQUARE = Grid(16, 64, 1, policy="square")
# Idefics3 without splitting.
STEPPED = Grid(16, 64, 1, policy="square", longest=300, resample="lanczos")
IDEFICS3 = Grid(16, 64, 26, policy="idefics3", longest=300, resample="lanczos")
NANOVLM = Grid(16, 64, 17, policy="nanovlm", longest=256, enlarge=False)
WITHOUT_OVERVIEW = Grid(16, 64, 16, policy="nanovlm", longest=256, overview=False, resample="bicubic")
WITH_REST = Grid(42, 384, 26, policy="idefics3", longest=1920)
# LFM2-VL-450M's own settings, and small ones without an overview.
LFM2 = Grid(32, 512, 11, policy="lfm2", lfm2=Lfm2Rules(16, 64, 256, 2, 524_288))
LFM2_SMALL = Grid(16, 64, 6, policy="lfm2", overview=False, lfm2=Lfm2Rules(8, 4, 30, 1, 9000))
LFM2_WHOLE = Grid(16, 64, 1, policy="lfm2", overview=False, lfm2=Lfm2Rules(8, 4, 30, 1, 9000))
GRIDS = [SQUARE, STEPPED, IDEFICS3, NANOVLM, WITHOUT_OVERVIEW, WITH_REST]
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


@patient
@given(SIDES, SIDES, st.sampled_from([LFM2, LFM2_SMALL, LFM2_WHOLE]), st.none() | st.integers(1, 3000))
def test_lfm2_cuts_full_tiles_and_one_of_any_shape(width: int, height: int, grid: Grid, budget: int | None) -> None:
    made = plan(width, height, grid, budget)
    across, down = made.resized
    proper = tiles_proper(made)
    assert across % grid.unit == down % grid.unit == 0 and (across, down) >= (grid.unit, grid.unit)
    assert made.tokens == sum(made.tile_tokens) and len(made.tile_tokens) == len(made.tile_boxes) <= grid.max_tiles
    assert made.tokens <= min(grid.max_tokens, budget or grid.max_tokens)
    assert max(made.tile_tokens) <= grid.tile_tokens
    if max(width, height) - max(made.resized) > grid.unit / 2:
        assert made.scale == max(made.resized) / max(width, height)
    else:
        assert made.scale == 1
    if len(proper) > 1:
        corners = [(x, y) for y in range(0, down, grid.tile) for x in range(0, across, grid.tile)]
        assert [(x, y, x + grid.tile, y + grid.tile) for x, y in corners] == proper
        assert len(proper) == made.columns * made.rows
    else:
        assert proper == [(0, 0, across, down)] and (made.columns, made.rows) == (1, 1)
    if grid.overview and len(proper) > 1:
        assert made.overview == len(proper) and made.overview_size is not None
        assert made.tile_tokens[-1] == made.overview_size[0] * made.overview_size[1] // grid.unit**2
    else:
        assert made.overview is None and made.overview_size is None


@patient
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200))
def test_lfm2_past_its_tokens_a_strip_shrinks(short: int, long: int, limit: int) -> None:
    """Where LFM2-VL's own arithmetic gives more than its model can take; a budget comes to the same."""
    made = plan(long * 50, short, LFM2, limit)
    assert made.tokens <= limit
    if long * 50 > 4 * short * limit:
        # Too thin for its shape to hold: one row.
        assert made.resized[1] == 32


def test_one_square_may_come_after_a_first_resize() -> None:
    assert (plan(50, 200, SQUARE).steps, plan(50, 200, SQUARE).resized) == ((), (64, 64))
    made = plan(50, 200, STEPPED)
    assert (made.steps, made.resized, made.tile_boxes) == (((76, 300),), (64, 64), ((0, 0, 64, 64),))
    assert made.steps[0] == idefics3_sizes(50, 200, 64, 300)[0]


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
    # LFM2-VL's: 64 to 256 tokens of 32 px, up to ten tiles of 512.
    assert lfm2_whole(640, 480, 32, 64, 256) == (576, 416)
    assert lfm2_whole(100, 60, 32, 64, 256) == (352, 224)
    assert lfm2_whole(500, 2000, 32, 64, 256) == (256, 1024)
    assert lfm2_whole(48, 80, 32, 1, 256) == (64, 64)
    assert lfm2_whole(10_000, 1, 32, 64, 256) == (51_200, 32)
    assert plan(10_000, 1, LFM2).resized == (8192, 32)
    # 12.5 tokens go to the even number.
    assert (plan(400, 300, LFM2).resized, plan(400, 300, LFM2).scale) == ((384, 288), 1.0)
    assert lfm2_grid(3000, 1700, 512, 2, 10) == (4, 2)
    assert lfm2_grid(1000, 1000, 512, 2, 10) == lfm2_grid(1000, 1000, 512, 1, 10) == (2, 2)
    assert lfm2_grid(1100, 1100, 512, 2, 10) == (3, 3)
    assert lfm2_grid(700, 700, 512, 1, 10) == (1, 1)
    assert lfm2_grid(5000, 100, 512, 2, 10) == (10, 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"policy": "fisheye"}, "there are native, square"),
        ({"resample": "nearest"}, "bilinear, bicubic, lanczos"),
        ({"policy": "idefics3"}, "need one"),
        ({"policy": "idefics3", "longest": 63}, "at least a tile, 64 px"),
        ({"policy": "square", "longest": 63}, "at least a tile, 64 px"),
        ({"policy": "nanovlm", "longest": 100}, "a multiple of its 64 px tile"),
        ({"policy": "native", "longest": 64}, "the others have none"),
        ({"policy": "lfm2"}, "lfm2 needs its own rules"),
        ({"policy": "square", "lfm2": Lfm2Rules(8, 4, 16, 2, 9000)}, "the others have none"),
        ({"policy": "lfm2", "lfm2": Lfm2Rules(8, 17, 16, 2, 9000)}, "whole pictures of 17 to 16 tokens"),
        ({"policy": "lfm2", "lfm2": Lfm2Rules(8, 4, 16, 4, 9000)}, "split into 4 to 3 tiles"),
        ({"policy": "lfm2", "lfm2": Lfm2Rules(8, 4, 16, 0, 9000)}, "split into 0 to 3 tiles"),
        ({"policy": "lfm2", "max_tiles": 66, "lfm2": Lfm2Rules(8, 4, 16, 2, 9000)}, "1 to 64 can be cut"),
        ({"policy": "lfm2", "tile": 72, "lfm2": Lfm2Rules(8, 4, 16, 2, 9000)}, "multiple of the token"),
    ],
)
def test_grids_that_no_reference_has_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Grid(**{"unit": 16, "tile": 64, "max_tiles": 4} | fields)  # type: ignore[arg-type]


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


def test_pieces_of_lfm2() -> None:
    lfm2 = Pieces("<", "", "", ">", "({row},{column})", "(all)")
    assert texts(lfm2, plan(1500, 1000, LFM2)) == "<(1,1)[0](1,2)[1](1,3)[2](2,1)[3](2,2)[4](2,3)[5](all)[6]>"
    assert texts(lfm2, plan(1500, 1000, LFM2_SMALL)) == "<(1,1)[0](1,2)[1](1,3)[2](2,1)[3](2,2)[4](2,3)[5]>"
    assert texts(lfm2, plan(300, 200, LFM2)) == "<[0]>"


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


def test_an_overview_taller_than_the_tiles_is_drawn_whole() -> None:
    rules = Lfm2Rules(8, 4, 60, 2, 9000)
    grid = Grid(16, 64, 3, policy="lfm2", lfm2=rules)
    picture = Image.effect_noise((200, 150), 90).convert("RGB")
    made = plan(200, 150, grid)
    assert (made.resized, made.overview_size) == ((128, 64), (128, 96))
    drawn = np.asarray(draw_plan(picture, made, grid)).astype(int)
    assert drawn.shape == (96, 128 + 16 + 128, 3)
    # Away from borders, number and token lines it is the overview itself.
    assert np.array_equal(drawn[68:76, 212:220], cut(picture, made)[2].astype(int)[68:76, 68:76])
    assert (drawn[64:, :128] == 255).all()


def test_every_tile_of_an_expanded_picture_is_there_once() -> None:
    made = plan(300, 200, IDEFICS3)
    found = [part.tile for part in expand([Picture(0)], [made], Pieces()) if isinstance(part, Tile)]
    assert found == list(range(len(made.tile_boxes)))
