"""What is true of a scene stays true of its picture: seeds, grids, positions, the held-out split."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.plan import Grid, plan
from magicvl.train.fonts import nano_faces
from magicvl.train.nano.batches import draw_sample
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.scenes import (
    COLOURS,
    HELD_OUT_BACKGROUNDS,
    TRAINING_BACKGROUNDS,
    Content,
    Scene,
    Shape,
    make_scene,
)


@given(seed=st.integers(0, 10**6), across=st.integers(1, 13), down=st.integers(1, 13))
@settings(max_examples=40, deadline=None)
def test_a_sample_has_the_grid_that_was_asked_for(seed: int, across: int, down: int) -> None:
    scene = draw_sample(str(seed), across, down, 3).scene
    planned = plan(scene.width, scene.height, Grid())
    assert planned.resized == (across * 32, down * 32)
    assert planned.scale == 1.0


def test_the_same_seed_draws_the_same_picture() -> None:
    first, again = (draw_scene(draw_sample("7", 4, 3, 3).scene) for _ in range(2))
    assert first.size == again.size
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != draw_scene(draw_sample("8", 4, 3, 3).scene).tobytes()


@pytest.mark.parametrize("cell", range(9))
def test_a_shape_lies_in_its_cell_and_has_its_colour(cell: int) -> None:
    scene = Scene(192, 144, "white", "plain", (Shape("circle", "blue", cell, 0.5),), (), 3, False)
    pixels = np.asarray(draw_scene(scene)).astype(int)
    blue = np.abs(pixels - COLOURS["blue"]).max(-1) < 40
    rows, columns = np.nonzero(blue)
    assert len(rows) > 50
    assert {int(y // 48) for y in rows} == {cell // 3}
    assert {int(x // 64) for x in columns} == {cell % 3}


def test_shapes_never_share_a_cell_nor_the_colour_of_the_background() -> None:
    for seed in range(300):
        scene = make_scene(random.Random(seed), 160, 128, Content(lines=3))
        cells = [shape.cell for shape in scene.shapes]
        assert len(set(cells)) == len(cells) <= 5
        assert all(shape.colour != scene.background for shape in scene.shapes)
        for printed in scene.prints:
            assert printed.colour != scene.background
            assert not scene.shapes or all(cell // 3 != printed.row for cell in cells)


def test_fonts_and_backgrounds_are_split() -> None:
    seen, held_out = ({face.family.removeprefix("font_") for face in nano_faces(side)} for side in (False, True))
    assert not seen & held_out
    assert len(seen) > 40
    assert not set(TRAINING_BACKGROUNDS) & set(HELD_OUT_BACKGROUNDS)
    for held_out, textures in ((False, TRAINING_BACKGROUNDS), (True, HELD_OUT_BACKGROUNDS)):
        found = {make_scene(random.Random(i), 96, 96, held_out=held_out).texture for i in range(60)}
        assert found == set(textures)
