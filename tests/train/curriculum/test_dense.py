"""What a token shows is what the boxes say, tile by tile; and it can be learned."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.plan import Grid, plan
from magicvl.train.curriculum.dense import (
    FIRST,
    KINDS,
    MOST_WORDS,
    DenseHead,
    dense_targets,
    join,
    token_grid,
)
from magicvl.train.samples.sample import Box

SQUARE = plan(128, 128, Grid())
"""4 x 4 tokens of one tile."""


def test_the_smallest_object_is_what_a_token_lies_on() -> None:
    boxes = [Box("red car", 0, 0, 128, 64), Box("wheel", 32, 32, 64, 64), Box("screw", 100, 100, 104, 104)]
    found = dense_targets(SQUARE, boxes, 32)
    names = found.names.reshape(4, 4, MOST_WORDS)
    car, wheel, screw = names[0, 0], names[1, 1], names[3, 3]
    assert (names[0] == car).all() and (names[1, [0, 2, 3]] == car).all()
    assert (car >= 0).sum() == 2 and (wheel >= 0).sum() == 1
    assert len({tuple(each.tolist()) for each in (car, wheel, screw)}) == 3
    # The screw holds no token's middle; the token that holds the screw's knows of it.
    rest = names[2:].reshape(-1, MOST_WORDS)[:-1]
    assert (rest[:, 0] == 0).all()
    assert car[1] == dense_targets(SQUARE, [Box("blue car", 0, 0, 9, 9)], 32).names[0, 1], "a word is the same anywhere"


def test_edges_are_seen_from_the_token() -> None:
    found = dense_targets(SQUARE, [Box("car", 16, 0, 112, 64)], 32)
    # The second token of the first row has its middle at 48, 16.
    assert found.edges[1].tolist() == pytest.approx([(16 - 48) / 128, -16 / 128, (112 - 48) / 128, (64 - 16) / 128])
    assert not found.edges[8:].any()


def test_characters_stand_where_they_are_printed() -> None:
    found = dense_targets(SQUARE, [Box("ab Cd", 0, 40, 128, 60, "text")], 32)
    characters = found.characters.reshape(4, 4, -1)
    assert not characters[[0, 2, 3]].any()
    read = "".join(chr(int(each) - 1 + ord(FIRST)) for token in characters[1] for each in token if each)
    assert read == "abCd"
    assert characters[1, 0, 0] > 0 and characters[1, 3, 0] > 0
    assert not found.names[:, 1:].ge(0).any() and not found.names[:, 0].any(), "text is no object"


@settings(max_examples=25)
@given(st.integers(20, 900), st.integers(20, 900), st.sampled_from(["native", "internvl"]))
def test_tokens_cover_the_picture_as_the_plan_cuts_it(width: int, height: int, policy: str) -> None:
    grid = Grid(policy=policy, max_tiles=7)
    its = plan(width, height, grid)
    found = dense_targets(its, [Box("all", 0, 0, width, height)], grid.unit)
    assert len(found.names) == its.tokens == sum(np.prod(token_grid(its, i, 32)) for i in range(len(its.tile_boxes)))
    assert (found.names[:, 0] > 0).all()
    assert found.places.min() > 0 and found.places.max() < 1
    assert bool((found.edges[:, :2] <= 0).all()) and bool((found.edges[:, 2:] >= 0).all())


def test_what_is_not_known_is_not_learned() -> None:
    found = join([dense_targets(SQUARE, None, 32), dense_targets(SQUARE, [Box("car", 0, 0, 9, 9)], 32)])
    assert found.known.tolist() == [False] * 16 + [True] * 16
    torch.manual_seed(0)
    head, tokens = DenseHead(8), torch.randn(32, 8)
    losses = head.losses(tokens, found)
    changed = tokens.clone()
    changed[:16] = torch.randn(16, 8)
    others = head.losses(changed, found)
    # All but the places, which need no truth.
    torch.testing.assert_close(losses[:3], others[:3])
    assert losses[3] != others[3]


def test_a_head_learns_its_targets() -> None:
    torch.manual_seed(0)
    boxes = [Box("red car", 0, 0, 64, 64), Box("ab1", 64, 64, 128, 96, "text")]
    targets = dense_targets(SQUARE, boxes, 32)
    head, tokens = DenseHead(32), torch.randn(16, 32)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    first = None
    for _ in range(60):
        losses = (head.losses(tokens, targets) / targets.totals().clamp(min=1)).sum()
        first = float(losses.detach()) if first is None else first
        optimiser.zero_grad()
        losses.backward()
        optimiser.step()
    assert float(losses.detach()) < 0.2 * first
    assert targets.totals().shape == (KINDS,)
