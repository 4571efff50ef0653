"""Many samples in one row: each sees itself alone, at positions of its own, as it will at inference.

    ids        | picture question answer | question answer question answer | picture picture question answer |
    positions  | 0 1 2 3 ...             | 0 1 2 3 ...                     | 0 1 2 3 ...                     |
    labels     |                  answer |          answer          answer |                          answer |

Pictures travel as bytes: they become numbers on the device, four times as small on their way there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from magicvl.edge.pixels import Pixels, cut, open_picture
from magicvl.edge.plan import Plan, plan
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.conversation import IGNORED, Conversation, tokenise
from magicvl.train.curriculum.dense import DenseTargets, dense_targets, join
from magicvl.train.curriculum.stage import Stage
from magicvl.train.samples.sample import Box, Sample


@dataclass(frozen=True)
class Prepared:
    """A sample, ready to be packed."""

    sample: Sample
    conversation: Conversation
    tiles: tuple[Pixels, ...]
    """(height, width, 3) each, in the order of the plans."""
    plans: tuple[Plan, ...]
    dense: DenseTargets | None

    @property
    def size(self) -> tuple[int, int]:
        """Tokens and pictures."""
        return len(self.conversation.ids), len(self.plans)


@dataclass(frozen=True)
class Row:
    """Tensors of one packed row: `n` tokens of `k` samples, `t` tiles of `p` patches, `v` visual tokens."""

    ids: torch.Tensor
    """(n,) int64"""
    positions: torch.Tensor
    """(n,) int64, from 0 in every sample."""
    lengths: tuple[int, ...]
    """Tokens of each sample."""
    labels: torch.Tensor
    """(n,) int64: the id that this position must predict, IGNORED elsewhere."""
    turns: torch.Tensor
    """(n,) int64: which of the row's answers a label is of, counted over all samples; -1 elsewhere."""
    patches: torch.Tensor
    """(p, patch * patch * 3) uint8, channel fastest, tile after tile."""
    shapes: tuple[tuple[int, int], ...]
    """(t) rows and columns of patches."""
    order: torch.Tensor | None
    """(v,) int64: which visual token stands at each placeholder, None for tile by tile."""
    dense: DenseTargets | None
    """Of the v visual tokens, in the order of the tiles."""
    categories: tuple[str, ...]
    """Of each answer."""
    samples: int
    pictures: int = 0
    blank: bool = False
    """Whether the row has no pictures: its only tile is there for the encoder to have been used, and seen by nobody."""

    @property
    def answers(self) -> int:
        """Labels that count."""
        return int((self.labels != IGNORED).sum())


def prepare(sample: Sample, processor: MagicVLProcessor, stage: Stage) -> Prepared:
    """Opens, cuts and tokenises. Raises PictureError, UsageError."""
    opened = [open_picture(picture) for picture in sample.pictures]
    plans = [plan(*picture.size, processor.grid, stage.budget) for picture in opened]
    tiles = [tile for picture, its in zip(opened, plans, strict=True) for tile in cut(picture, its)]
    dense = None
    if stage.dense and plans:
        unit = processor.grid.unit
        dense = join([dense_targets(its, _boxes_of(sample, i), unit) for i, its in enumerate(plans)])
    words = tokenise(sample, plans, processor) if stage.answers else _unspoken(plans, processor)
    return Prepared(sample, words, tuple(tiles), tuple(plans), dense)


def _boxes_of(sample: Sample, picture: int) -> list[Box] | None:
    return None if sample.boxes is None else [box for box in sample.boxes if box.picture == picture]


def _unspoken(plans: Sequence[Plan], processor: MagicVLProcessor) -> Conversation:
    """Visual tokens alone, where nothing is answered."""
    count = sum(its.tokens for its in plans)
    return Conversation([processor.image_token_id] * count, [IGNORED] * count, [-1] * count)


def pack(prepared: Sequence[Prepared], most_tokens: int, most_pictures: int) -> list[list[Prepared]]:
    """Shares samples out to rows, the longest first, each into the first row that has room.

    A sample beyond both limits alone gets a row of its own, which then is as long as it.
    """
    rows: list[list[Prepared]] = []
    room: list[tuple[int, int]] = []
    for each in sorted(prepared, key=lambda one: -one.size[0]):
        tokens, pictures = each.size
        for i, (left_tokens, left_pictures) in enumerate(room):
            if tokens <= left_tokens and pictures <= left_pictures:
                rows[i].append(each)
                room[i] = (left_tokens - tokens, left_pictures - pictures)
                break
        else:
            rows.append([each])
            room.append((most_tokens - tokens, most_pictures - pictures))
    return rows


def collate(members: Sequence[Prepared], processor: MagicVLProcessor, *, raster: bool = False) -> Row:
    """One row of these samples."""
    side = processor.patch_size
    tiles = [tile for member in members for tile in member.tiles]
    blank = not tiles
    if blank:
        unit = processor.grid.unit
        tiles = [np.zeros((unit, unit, 3), dtype=np.uint8)]
    dense = [member.dense for member in members if member.dense is not None]
    turns: list[int] = []
    seen = 0
    for member in members:
        turns += [turn + seen if turn >= 0 else -1 for turn in member.conversation.turns]
        seen += len(member.sample.turns)
    return Row(
        ids=torch.tensor([token for member in members for token in member.conversation.ids]),
        positions=torch.cat([torch.arange(member.size[0]) for member in members]),
        lengths=tuple(member.size[0] for member in members),
        labels=torch.tensor([label for member in members for label in member.conversation.labels]),
        turns=torch.tensor(turns),
        patches=torch.from_numpy(np.concatenate([flatten(tile, side) for tile in tiles])),
        shapes=tuple((tile.shape[0] // side, tile.shape[1] // side) for tile in tiles),
        order=_raster_order(members, processor.grid.unit) if raster and not blank else None,
        dense=join(dense) if dense else None,
        categories=tuple(member.sample.category for member in members for _ in member.sample.turns),
        samples=len(members),
        pictures=sum(len(member.plans) for member in members),
        blank=blank,
    )


def blank_row(processor: MagicVLProcessor) -> Row:
    """A row of one token with nothing to learn: for a device that has none left while others still do."""
    unit, patch = processor.grid.unit, processor.patch_size
    tile = flatten(np.zeros((unit, unit, 3), dtype=np.uint8), patch)
    return Row(
        ids=torch.tensor([processor.tokenizer.eos_token_id]),
        positions=torch.tensor([0]),
        lengths=(1,),
        labels=torch.tensor([IGNORED]),
        turns=torch.tensor([-1]),
        patches=torch.from_numpy(tile),
        shapes=((unit // patch, unit // patch),),
        order=None,
        dense=None,
        categories=(),
        samples=0,
        blank=True,
    )


def flatten(tile: Pixels, side: int) -> npt.NDArray[np.uint8]:
    """(height, width, 3) -> (patches, side * side * 3), channel fastest as in Siglip2."""
    rows, columns = tile.shape[0] // side, tile.shape[1] // side
    blocks = tile.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(blocks).reshape(rows * columns, side * side * 3)


def _raster_order(members: Sequence[Prepared], unit: int) -> torch.Tensor:
    """For each place in the raster of its whole picture, which token of the tiles it is."""
    order: list[npt.NDArray[np.int64]] = []
    begin = 0
    for its in (each for member in members for each in member.plans):
        where = np.empty((its.resized[1] // unit, its.resized[0] // unit), dtype=np.int64)
        for left, top, right, bottom in its.tile_boxes:
            rows, columns = (bottom - top) // unit, (right - left) // unit
            numbers = begin + np.arange(rows * columns).reshape(rows, columns)
            where[top // unit : bottom // unit, left // unit : right // unit] = numbers
            begin += rows * columns
        order.append(where.ravel())
    return torch.from_numpy(np.concatenate(order))
