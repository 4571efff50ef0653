"""What an answer's next word is about is known for each of its tokens."""

import random
from collections.abc import Callable

import pytest
import torch

from magicvl.train.nano.batches import IGNORED, collate, draw_sample
from magicvl.train.nano.config import Stage, TrainConfig
from magicvl.train.nano.items import NOTHING, ItemHead, told_cells
from magicvl.train.nano.questions import all_questions
from magicvl.train.nano.scenes import POSITIONS
from magicvl.train.nano.trainer import create


@pytest.mark.parametrize(
    ("spelled", "cells"),
    [
        (["star", " top", " left", ",", " ring", " right", ":", " ", "2"], [0, 0, 0, 5, 5, 5, *[NOTHING] * 4]),
        (["w", "hite", " star", " bottom"], [7, 7, 7, 7, NOTHING]),
        (["red"], None),
        (["red star", ", ", "blue ring: 2"], None),
    ],
)
def test_a_comma_belongs_to_what_follows(spelled: list[str], cells: list[int] | None) -> None:
    assert told_cells(spelled) == cells


def test_cells_are_those_of_the_shapes_told() -> None:
    asked = 0
    for seed in range(40):
        sample = draw_sample(f"items {seed}", 6, 6, 0)
        for question in all_questions(random.Random(seed), sample.scene):
            cells = told_cells(question.answer)
            if question.task not in ("count", "position", "layout"):
                assert cells is None
                continue
            assert cells is not None
            told = [cell for cell, before in zip(cells, [None, *cells], strict=False) if cell != before]
            assert told[-1] == NOTHING and told[:-1] == sorted(told[:-1])
            places = [item.split(":")[0].strip() for item in question.answer.split(",")]
            assert all(place.endswith(POSITIONS[cell]) for place, cell in zip(places, told[:-1], strict=True))
            asked += 1
    assert asked > 100


def test_a_batch_has_them_where_its_labels_are() -> None:
    _, processor = create(TrainConfig(preset="magicvl-nano", steps=1, decay=0, stages=(Stage(0, 4, 16),)))
    batch = collate([draw_sample(f"batch {number}", 4, 4, 6) for number in range(3)], processor)
    assert batch.items.shape == batch.labels.shape
    assert not ((batch.items != IGNORED) & (batch.labels == IGNORED)).any()
    ends = batch.labels == processor.tokenizer.eos_token_id
    assert set(batch.items[ends].tolist()) == {NOTHING, IGNORED}


def test_the_head_learns_them(learn: Callable[..., list[float]]) -> None:
    torch.manual_seed(0)
    states, cells, head = torch.randn(2, 15, 16), torch.randint(NOTHING + 1, (2, 15)), ItemHead(16)
    cells[1, 5:] = IGNORED
    losses = learn(lambda: head(states, cells), head, 0.05, 100)
    assert losses[-1] < 0.3 * losses[0]
    told = cells != IGNORED
    assert torch.allclose(head(states, cells), head(states[told][None], cells[told][None]))


def test_no_place_at_all_is_a_loss_of_nothing() -> None:
    assert float(ItemHead(8)(torch.randn(2, 3, 8), torch.full((2, 3), IGNORED)).detach()) == 0
