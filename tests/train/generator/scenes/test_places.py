import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.train.generator.scenes.places import arrange, place_of, shared
from magicvl.train.nano.scenes import POSITIONS

PICTURE = (240, 180)
sizes = st.lists(st.tuples(st.integers(10, 60), st.integers(10, 60)), min_size=1, max_size=6)


@given(sizes, st.integers(0, 1000), st.sampled_from(("free", "cells", "row", "column")), st.sampled_from((0.0, 0.1)))
def test_boxes_are_within_the_picture_as_large_as_asked_and_apart(
    wanted: list[tuple[int, int]], seed: int, layout: str, overlap: float
) -> None:
    boxes = arrange(random.Random(seed), wanted, PICTURE, layout, overlap)  # type: ignore[arg-type]
    if boxes is None:
        return
    assert [(right - left, bottom - top) for left, top, right, bottom in boxes] == wanted
    assert all(box[0] >= 0 and box[1] >= 0 and box[2] <= PICTURE[0] and box[3] <= PICTURE[1] for box in boxes)
    assert all(shared(one, other) <= (overlap if layout == "free" else 0) for one, other in combinations(boxes, 2))


@given(st.integers(0, 1000))
def test_rows_and_columns_keep_their_order(seed: int) -> None:
    wanted = [(30, 20), (20, 40), (50, 30)]
    row = arrange(random.Random(seed), wanted, PICTURE, "row")
    column = arrange(random.Random(seed), wanted, PICTURE, "column")
    assert row and column
    assert all(one[2] <= other[0] for one, other in pairwise(row))
    assert all(one[3] <= other[1] for one, other in pairwise(column))


@given(st.integers(0, 1000))
def test_each_cell_holds_one_and_its_middle_is_far_from_other_cells(seed: int) -> None:
    boxes = arrange(random.Random(seed), [(40, 30)] * 9, PICTURE, "cells")
    assert boxes
    assert {place_of(box, PICTURE) for box in boxes} == set(POSITIONS)
    for left, _, right, _ in boxes:
        assert 0.25 < (left + right) / 2 / PICTURE[0] * 3 % 1 < 0.75


def test_what_does_not_fit_is_none() -> None:
    assert arrange(random.Random(1), [(250, 10)], PICTURE, "free") is None
    assert arrange(random.Random(1), [(81, 10)], PICTURE, "cells") is None
    assert arrange(random.Random(1), [(130, 10)] * 2, PICTURE, "row") is None
    assert arrange(random.Random(1), [(10, 100)] * 2, PICTURE, "column") is None


@pytest.mark.parametrize(("box", "place"), [((0, 0, 10, 10), "top left"), ((100, 70, 140, 110), "centre")])
def test_place_words(box: tuple[int, int, int, int], place: str) -> None:
    assert place_of(box, PICTURE) == place
