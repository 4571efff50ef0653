"""The truth about each visual token agrees with the scene, tile by tile."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch

from magicvl.edge.plan import Grid, plan
from magicvl.train.nano.dense import CHARACTERS, DenseHead, dense_targets, join
from magicvl.train.nano.drawing import draw
from magicvl.train.nano.scenes import COLOURS, SHAPES, Print, Scene, Shape

COLOUR_NAMES = list(COLOURS)


def test_a_shape_marks_the_tokens_of_its_cell() -> None:
    scene = Scene(288, 288, "white", "plain", (Shape("square", "blue", 8, 0.95),), (), 3, False)
    targets = dense_targets(scene, draw(scene), plan(288, 288, Grid()), 32)
    kinds, colours = targets.kinds.reshape(9, 9), targets.colours.reshape(9, 9)
    assert (kinds[:6].sum(), kinds[:, :6].sum()) == (0, 0)
    assert (kinds[6:, 6:] == 1 + SHAPES.index("square")).all()
    assert (colours[6:, 6:] == COLOUR_NAMES.index("blue")).all()
    assert (colours[:6] == COLOUR_NAMES.index("white")).all()


def test_characters_lie_in_reading_order() -> None:
    scene = Scene(256, 64, "white", "plain", (), (Print("4821", "black", 1),), 3, False)
    targets = dense_targets(scene, draw(scene), plan(256, 64, Grid()), 32)
    assert read(targets.characters, columns=8) == "4821"


def test_several_lines_are_read_each_in_its_row() -> None:
    lines = tuple(Print(text, "black", row) for row, text in enumerate(("70", "814", "tea")))
    scene = Scene(160, 192, "white", "plain", (), lines, 5, False)
    targets = dense_targets(scene, draw(scene), plan(160, 192, Grid()), 32)
    characters = targets.characters.reshape(6, 5, -1)
    assert [read(characters[2 * row : 2 * row + 2], columns=5) for row in range(3)] == ["70", "814", "tea"]


def test_each_character_has_its_number_in_its_line() -> None:
    lines = (Print("70", "black", 0), Print("8143", "black", 1))
    scene = Scene(448, 192, "white", "plain", (), lines, 5, False)
    planned = plan(448, 192, Grid())
    targets = dense_targets(scene, draw(scene), planned, 32)
    first, second = targets.lines.split(planned.tile_tokens)
    # Each tile numbers what it shows of a line, from its own first character on.
    shown = [
        "".join(CHARACTERS[int(c) - 1] for c in slot[slot > 0].tolist()) for tile in (first, second) for slot in tile.T
    ]
    assert Counter("".join(shown)) == Counter("708143")
    assert sorted(shown[0]) == ["7", "8"]
    in_slots = (targets.lines > 0).sum()
    assert in_slots == (targets.characters > 0).sum()


def test_a_token_holds_the_objects_whose_middle_lies_in_it() -> None:
    shapes = (Shape("ring", "red", 8, 0.95), Shape("star", "blue", 0, 0.95), Shape("star", "green", 1, 0.95))
    scene = Scene(64, 64, "white", "plain", shapes, (), 4, False)
    objects = dense_targets(scene, draw(scene), plan(64, 64, Grid()), 32).objects
    truth = {(1 + SHAPES.index(s.kind), COLOUR_NAMES.index(s.colour), s.cell) for s in shapes}
    there = objects[objects[..., 0] > 0]
    assert {tuple(one) for one in there.tolist()} == truth
    # The first slots are the ones in use, in the order of the places.
    assert objects[0, 0].tolist() == [1 + SHAPES.index("star"), COLOUR_NAMES.index("blue"), 0]
    assert objects[3, 0].tolist() == [1 + SHAPES.index("ring"), COLOUR_NAMES.index("red"), 8]


def test_places_run_over_each_tile() -> None:
    scene = Scene(448, 96, "white", "plain", (), (), 1, False)
    places = dense_targets(scene, draw(scene), plan(448, 96, Grid()), 32).places
    assert places[0].tolist() == pytest.approx([1 / 6, 1 / 24])
    assert places[35].tolist() == pytest.approx([5 / 6, 23 / 24])
    assert places[36].tolist() == pytest.approx([1 / 6, 1 / 4])


def read(characters: torch.Tensor, columns: int) -> str:
    """Characters of tokens, column by column."""
    tokens = characters.reshape(-1, columns, characters.shape[-1]).transpose(0, 1).flatten()
    return "".join(CHARACTERS[number - 1] for number in tokens.tolist() if number)


def test_tokens_come_in_the_order_of_the_tiles() -> None:
    scene = Scene(448, 416, "white", "plain", (Shape("circle", "red", 2, 0.95),), (), 1, False)
    planned = plan(448, 416, Grid())
    targets = dense_targets(scene, draw(scene), planned, 32)
    first, second = planned.tile_tokens[:2]
    raster = torch.zeros(13, 14, dtype=torch.long)
    raster[:12, :12] = targets.kinds[:first].reshape(12, 12)
    raster[:12, 12:] = targets.kinds[first : first + second].reshape(12, 2)
    rows, columns = raster.nonzero(as_tuple=True)
    assert len(rows) > 6
    assert rows.max() <= 4
    assert columns.min() >= 9
    assert columns.max() == 13


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_head_learns_what_it_is_shown(part: str, learn: Callable[..., list[float]]) -> None:
    torch.manual_seed(0)
    scene = Scene(96, 96, "white", "plain", (Shape("star", "red", 4, 0.95),), (Print("7", "blue", 2),), 2, False)
    targets = dense_targets(scene, draw(scene), plan(96, 96, Grid()), 32)
    tokens, head = torch.randn(18, 32), DenseHead(32)
    both = join([targets, targets])
    loss = head.loss if part == "encoder" else head.place_loss
    losses = learn(lambda: loss(tokens, both), head, 0.03, 60)
    assert losses[-1] < 0.2 * losses[0]


def test_places_in_the_whole_picture_cross_tiles() -> None:
    shapes = (Shape("ring", "red", 2, 0.5), Shape("star", "blue", 3, 0.5), Shape("star", "green", 7, 0.5))
    scene = Scene(800, 96, "white", "plain", shapes, (), 4, False)
    planned = plan(800, 96, Grid())
    targets = dense_targets(scene, draw(scene), planned, 32)
    there = targets.objects[..., 0] > 0
    found = zip(targets.objects[there][:, 1].tolist(), targets.whole_cells[there].tolist(), strict=True)
    assert {(COLOUR_NAMES[colour], cell) for colour, cell in found} == {("red", 2), ("blue", 3), ("green", 7)}
    # Columns go on from tile to tile, where places in the tile begin anew.
    columns = [part[:, 1].reshape(3, -1)[0] * 25 - 0.5 for part in targets.whole_places.split(planned.tile_tokens)]
    assert torch.cat(columns).round().tolist() == list(range(25))
