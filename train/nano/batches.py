"""Micro-batches: pictures of one grid, each with several questions that can't see one another.

One row of a batch, with two questions (P the picture's prompt, Q question, A answer):

    P P P P | Q Q A A | Q Q Q A      attention: causal, and a question sees P and itself
    0 1 2 3 | 4 5 6 7 | 4 5 6 7      positions: every question follows the picture directly

So the picture is encoded once for all its questions, and each is learned as it will be asked: alone.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from magicvl.edge.pixels import cut
from magicvl.edge.plan import plan
from magicvl.edge.prompt import Message, Picture, Text, ask_messages
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.nano.config import Stage
from magicvl.train.nano.dense import DenseTargets, dense_targets, join
from magicvl.train.nano.drawing import draw
from magicvl.train.nano.items import told_cells
from magicvl.train.nano.questions import Question, Spot, choose_questions
from magicvl.train.nano.scenes import STANDARD, Content, Scene, make_scene

IGNORED = -100
PICTURE_SEGMENT = 0


@dataclass(frozen=True)
class Sample:
    """A scene and what is asked about it."""

    scene: Scene
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Batch:
    """Tensors of one micro-batch of `b` pictures, rows padded to `n` tokens."""

    input_ids: torch.Tensor
    """(b, n)"""
    positions: torch.Tensor
    """(b, n)"""
    mask: torch.Tensor
    """(b, 1, n, n), true where a token may look."""
    labels: torch.Tensor
    """(b, n): the id that this position must predict, IGNORED elsewhere."""
    segments: torch.Tensor
    """(b, n): 0 the picture, 1.. the questions, -1 padding."""
    pixel_values: torch.Tensor
    """(tiles, most patches, 768)"""
    spatial_shapes: torch.Tensor
    """(tiles, 2)"""
    dense: DenseTargets
    """Of every visual token of every tile, in order."""
    samples: tuple[Sample, ...]
    items: torch.Tensor
    """(b, n): the cell that the next word is about (magicvl.train.nano.items), IGNORED elsewhere."""


def draw_grid(rng: random.Random, stage: Stage) -> tuple[int, int]:
    """Columns and rows of visual tokens; as a rule sides are log-uniform, so that small pictures are common."""
    evenly = stage.evenly > 0 and rng.random() < stage.evenly

    def side() -> int:
        if evenly:
            return rng.randint(stage.min_side, stage.max_side)
        return int(stage.max_side ** rng.random() * rng.uniform(1.0, 1.99))

    while True:
        across, down = side(), side()
        inside = stage.min_side <= min(across, down) and max(across, down) <= stage.max_side
        if inside and across * down <= stage.max_tokens:
            return across, down


def draw_sample(
    seed: str,
    across: int,
    down: int,
    questions: int,
    content: Content = STANDARD,
    *,
    held_out: bool = False,
    unit: int = 32,
    weights: Mapping[str, float] | None = None,
) -> Sample:
    """A picture whose plan has that grid, its sides anywhere within the rounding, and its questions."""
    rng = random.Random(seed)
    width, height = (unit * side + rng.randint(-unit // 2, unit // 2 - 1) for side in (across, down))
    width, height = max(width, unit), max(height, unit)
    scene = make_scene(rng, width, height, content, held_out=held_out)
    spots = _spots(scene) if questions and weights and weights.get("point") else ()
    return Sample(scene, tuple(choose_questions(rng, scene, questions, weights, spots)) if questions else ())


def _spots(scene: Scene) -> tuple[Spot, ...]:
    """Where a scene's shapes come to lie, which is known when it is drawn."""
    drawing, side = draw(scene), min(scene.width, scene.height)
    return tuple(
        Spot(x / scene.width, y / scene.height, 2 * radius / side)
        for (x, y), radius in zip(drawing.centres, drawing.radii, strict=True)
    )


def collate(samples: Sequence[Sample], processor: MagicVLProcessor, question_tokens: int | None = None) -> Batch:
    """Draws the pictures and packs questions behind them. All pictures must share one grid.

    With `question_tokens`, questions after the first that would take a row past so many tokens are left out.
    """
    plans = [plan(sample.scene.width, sample.scene.height, processor.grid) for sample in samples]
    prefix = processor.token_ids([Message("user", (Picture(0),))], plans[:1], answer=False)
    rows = [_pack(sample.questions, len(prefix), processor, question_tokens) for sample in samples]
    length = len(prefix) + max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), length), processor.tokenizer.pad_token_id)
    positions = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED)
    items = torch.full((len(rows), length), IGNORED)
    segments = torch.full((len(rows), length), -1)
    ids[:, : len(prefix)] = torch.tensor(prefix)
    positions[:, : len(prefix)] = torch.arange(len(prefix))
    segments[:, : len(prefix)] = PICTURE_SEGMENT
    for i, row in enumerate(rows):
        where = slice(len(prefix), len(prefix) + len(row.ids))
        ids[i, where] = torch.tensor(row.ids)
        positions[i, where] = torch.tensor(row.positions)
        labels[i, where] = torch.tensor(row.labels)
        items[i, where] = torch.tensor(row.items)
        segments[i, where] = torch.tensor(row.segments)
    drawings = [draw(sample.scene) for sample in samples]
    tiles = [tile for drawing, its in zip(drawings, plans, strict=True) for tile in cut(drawing.picture, its)]
    patches = processor.patches(tiles)
    dense = [
        dense_targets(sample.scene, drawing, its, processor.grid.unit)
        for sample, drawing, its in zip(samples, drawings, plans, strict=True)
    ]
    return Batch(
        ids, positions, attention(segments), labels, segments, patches["pixel_values"], patches["spatial_shapes"],
        join(dense), tuple(samples), items,
    )  # fmt: skip


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    positions: list[int]
    labels: list[int]
    items: list[int]
    segments: list[int]


def _pack(questions: Sequence[Question], start: int, processor: MagicVLProcessor, most: int | None) -> _Row:
    row = _Row([], [], [], [], [])
    number = 0
    for question in questions:
        # The words between picture and answer, exactly as the processor gives them for one user turn.
        asked = processor.token_ids(ask_messages(question.prompt, 0), [])[1:]
        said = processor.text_ids(Text(question.answer, special=False))
        answer = [*said, processor.tokenizer.eos_token_id]
        cells = told_cells([processor.tokenizer.decode([token]) for token in said]) or [IGNORED] * len(answer)
        ids = asked + answer
        if most is not None and row.ids and len(row.ids) + len(ids) > most:
            continue
        number += 1
        row.ids.extend(ids)
        row.positions.extend(range(start, start + len(ids)))
        row.labels.extend([IGNORED] * (len(asked) - 1) + answer + [IGNORED])
        row.items.extend([IGNORED] * (len(asked) - 1) + cells + [IGNORED])
        row.segments.extend([number] * len(ids))
    return row


def attention(segments: torch.Tensor) -> torch.Tensor:
    """(rows, 1, n, n), where a token may look: back, at the picture and at its own question."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    picture = (segments == PICTURE_SEGMENT)[:, None, :]
    return (causal & (same | picture))[:, None]
