"""The truth about each visual token agrees with the scene, tile by tile."""

import torch

from magicvl.edge.plan import Grid, plan
from magicvl.train.dense import CHARACTERS, DenseHead, dense_targets, join
from magicvl.train.drawing import draw
from magicvl.train.scenes import COLOURS, SHAPES, Print, Scene, Shape

COLOUR_NAMES = list(COLOURS)


def test_a_shape_marks_the_tokens_of_its_cell() -> None:
    scene = Scene(288, 288, "white", "plain", (Shape("square", "blue", 8, 0.95),), None, 3, False)
    targets = dense_targets(scene, draw(scene), plan(288, 288, Grid()), 32)
    kinds, colours = targets.kinds.reshape(9, 9), targets.colours.reshape(9, 9)
    assert (kinds[:6].sum(), kinds[:, :6].sum()) == (0, 0)
    assert (kinds[6:, 6:] == 1 + SHAPES.index("square")).all()
    assert (colours[6:, 6:] == COLOUR_NAMES.index("blue")).all()
    assert (colours[:6] == COLOUR_NAMES.index("white")).all()


def test_characters_lie_in_reading_order() -> None:
    scene = Scene(256, 64, "white", "plain", (), Print("4821", "black", 1), 3, False)
    targets = dense_targets(scene, draw(scene), plan(256, 64, Grid()), 32)
    found = [
        CHARACTERS[int(character)]
        for column in range(8)
        for character in targets.characters.reshape(2, 8, -1)[:, column].sum(0).nonzero()
    ]
    assert sorted(found) == sorted("4821")
    where = [int(targets.characters.reshape(2, 8, -1)[..., CHARACTERS.index(c)].sum(0).argmax()) for c in "4821"]
    assert where == sorted(where)


def test_tokens_come_in_the_order_of_the_tiles() -> None:
    scene = Scene(448, 416, "white", "plain", (Shape("circle", "red", 2, 0.95),), None, 1, False)
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


def test_the_head_learns_what_it_is_shown() -> None:
    torch.manual_seed(0)
    scene = Scene(96, 96, "white", "plain", (Shape("star", "red", 4, 0.95),), Print("7", "blue", 2), 2, False)
    targets = dense_targets(scene, draw(scene), plan(96, 96, Grid()), 32)
    tokens, head = torch.randn(18, 32), DenseHead(32)
    both = join([targets, targets])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.03)
    losses = []
    for _ in range(60):
        loss = head.loss(tokens, both)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
