"""A packed row is its samples, each alone."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.conversation import IGNORED, messages_of
from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.packing import Prepared, blank_row, collate, pack, prepare
from magicvl.train.curriculum.stage import Pictures, Stage

MakeStage = Callable[..., Stage]


@pytest.fixture(scope="module")
def processor(tiny_checkpoint: Path) -> MagicVLProcessor:
    return MagicVLProcessor.from_pretrained(tiny_checkpoint)


def load(checkpoint: Path) -> MagicVLForConditionalGeneration:
    return MagicVLForConditionalGeneration.from_pretrained(checkpoint).eval()


def test_packed_logits_are_those_of_each_sample_alone(
    tiny_checkpoint: Path, processor: MagicVLProcessor, make_stage: MakeStage
) -> None:
    """Several turns, several pictures of several shapes, and text alone, in one row."""
    stage = make_stage()
    samples = [Mixture(stage).sample(number) for number in range(9)]
    assert {len(sample.pictures) for sample in samples} == {0, 1, 2}
    assert {len(sample.turns) for sample in samples} == {1, 2}
    row = collate([prepare(sample, processor, stage) for sample in samples], processor)
    packed, plain = Learner(load(tiny_checkpoint), processor, stage).eval(), load(tiny_checkpoint)
    with torch.no_grad():
        ours = packed.model.lm_head(packed.read(row, packed.look(row)))
        outcome = packed(row)
    begin, loss, hits = 0, 0.0, []
    for sample, length in zip(samples, row.lengths, strict=True):
        inputs = processor(messages_of(sample), sample.pictures, answer=False)
        assert row.ids[begin : begin + length].tolist() == inputs["input_ids"][0].tolist()
        with torch.no_grad():
            theirs = plain(**inputs).logits[0]
        torch.testing.assert_close(ours[begin : begin + length], theirs, atol=2e-4, rtol=1e-4)
        labels = row.labels[begin : begin + length]
        loss += float(F.cross_entropy(theirs, labels, ignore_index=IGNORED, reduction="sum"))
        hits += (theirs.argmax(-1) == labels)[labels != IGNORED].tolist()
        begin += length
    assert begin == len(row.ids)
    assert float(outcome.answers) == pytest.approx(loss, rel=1e-5)
    assert outcome.right.tolist() == hits


def test_labels_are_the_answers_and_their_ends(processor: MagicVLProcessor, make_stage: MakeStage) -> None:
    stage = make_stage()
    tokenizer = processor.tokenizer
    for number in range(12):
        sample = Mixture(stage).sample(number)
        made = prepare(sample, processor, stage).conversation
        for turn, said in enumerate(sample.turns):
            places = [place for place, each in enumerate(made.turns) if each == turn]
            assert places == list(range(places[0], places[-1] + 1))
            expected = [*tokenizer(said.answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            assert [made.labels[place] for place in places] == expected
            # The token after a position is what it must predict.
            assert made.ids[places[0] + 1 : places[-1] + 2] == expected
        assert sum(label != IGNORED for label in made.labels) == sum(turn >= 0 for turn in made.turns)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), min_size=1, max_size=30), st.integers(60, 90))
def test_rows_hold_every_sample_once_and_no_more_than_fits(sizes: list[tuple[int, int]], most: int) -> None:
    class Sized(Prepared):
        def __init__(self, size: tuple[int, int]) -> None:
            object.__setattr__(self, "given", size)

        @property
        def size(self) -> tuple[int, int]:
            given: tuple[int, int] = self.__dict__["given"]
            return given

    samples = [Sized(size) for size in sizes]
    rows = pack(samples, most, 6)
    assert sorted(id(each) for row in rows for each in row) == sorted(map(id, samples))
    for row in rows:
        assert sum(each.size[0] for each in row) <= most
        assert sum(each.size[1] for each in row) <= 6
    # No row could have taken the first sample of a later one.
    for earlier, later in pairwise(rows):
        free = [most - sum(each.size[0] for each in earlier), 6 - sum(each.size[1] for each in earlier)]
        assert later[0].size[0] > free[0] or later[0].size[1] > free[1]


def test_raster_order_puts_tokens_in_rows_of_the_whole_picture(
    tiny_checkpoint: Path, processor: MagicVLProcessor, make_stage: MakeStage
) -> None:
    pieces = dict.fromkeys(("between", "row"), "")
    stage = make_stage(pictures=Pictures(tile=64, order="raster", pieces=pieces))
    parted = MagicVLProcessor(processor.tokenizer, tile_size=64, picture_pieces=pieces)
    samples = [prepare(Mixture(stage).sample(number), parted, stage) for number in range(24)]
    member = next(each for each in samples if any(its.columns == 3 and its.rows == 2 for its in each.plans))
    row = collate([member], parted, raster=True)
    assert row.order is not None
    learner = Learner(load(tiny_checkpoint), parted, stage).eval()
    with torch.no_grad():
        tiles, order = learner.look(row), row.order
        begin = 0
        for its in member.plans:
            across, down = its.resized[0] // 32, its.resized[1] // 32
            for place in range(across * down):
                y, x = divmod(place, across)
                tile = next(i for i, b in enumerate(its.tile_boxes) if b[0] <= 32 * x < b[2] and b[1] <= 32 * y < b[3])
                left, top, right, _ = its.tile_boxes[tile]
                inside = (y - top // 32) * ((right - left) // 32) + x - left // 32
                assert int(order[begin + place]) == begin + sum(its.tile_tokens[:tile]) + inside
            begin += across * down
        read = learner.read(row, tiles)
        plain = learner.read(collate([member], parted), tiles[order])
        torch.testing.assert_close(read, plain)


def test_a_row_without_pictures_and_a_blank_one_still_use_every_weight(
    tiny_checkpoint: Path, processor: MagicVLProcessor, make_stage: MakeStage
) -> None:
    stage = make_stage(dense=0.1)
    text = next(s for s in (Mixture(stage).sample(i) for i in range(9)) if not s.pictures)
    for row in (collate([prepare(text, processor, stage)], processor), blank_row(processor)):
        learner = Learner(load(tiny_checkpoint), processor, stage)
        outcome = learner(row)
        (outcome.answers + outcome.dense.sum()).backward()
        assert not [name for name, each in learner.named_parameters() if each.grad is None]
        tower = [each.grad for name, each in learner.named_parameters() if "vision_tower" in name]
        assert all(grad is not None and not grad.any() for grad in tower)
