"""Dense supervision for any samples that come with boxes: what every visual token shows, read off by a linear head.

A stage that has this loss alone is what teaches a new encoder to see before the decoder is there (stage 0). It was
chosen over a small captioning decoder (CapPa, arXiv 2306.07915): an answer says one thing about a whole picture and
reaches the encoder through a decoder that must first learn to look; from answers alone magicvl-nano's encoder could
not tell shapes after 15,000 pictures, with dense targets it could within hundreds (LOG.md). It also costs less: no
decoder runs. What it needs is boxes, which generated samples have.

    names        which words name the smallest object that the token's middle lies on, as hashed words
    edges        how far that object's edges are
    characters   which characters stand in the token, in reading order
    places       where the token is in its tile
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from magicvl.edge.plan import Plan
from magicvl.train.fonts import font, nano_faces
from magicvl.train.samples.sample import Box

BUCKETS = 8192
"""Words are hashed into so many; 0 is nothing."""
MOST_WORDS = 4
"""Words of a name that count, from its end: what it is stands last."""
SLOTS = 8
"""Most characters of one token."""
FIRST, LAST = "!", "~"
CHARACTERS = ord(LAST) - ord(FIRST) + 3
"""Printable ASCII; 0 is none, the last one every other character."""
NOTHING = 0.15
"""Weight of a token that lies on nothing, or of an empty slot: what there is should not drown in that."""
KINDS = 4

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DenseTargets:
    """The truth about `n` visual tokens."""

    known: torch.Tensor
    """(n,) bool: whether the sample says what is there."""
    names: torch.Tensor
    """(n, MOST_WORDS) int64: buckets of the words, -1 past the last; 0 alone for nothing."""
    edges: torch.Tensor
    """(n, 4): from the token's middle to left, top, right, bottom of the object within its tile, in tile sides."""
    characters: torch.Tensor
    """(n, SLOTS) int64."""
    places: torch.Tensor
    """(n, 2): row and column of the token's middle as a share of its tile, 0 to 1."""

    def totals(self) -> torch.Tensor:
        """(KINDS,): what each kind's sum of losses is to be divided by."""
        there = self.names[self.known][:, 0] > 0
        filled = (self.characters[self.known] > 0).float()
        return torch.stack([
            there.float().mul(1 - NOTHING).add(NOTHING).sum(),
            there.float().sum(),
            filled.mul(1 - NOTHING).add(NOTHING).sum(),
            torch.tensor(float(len(self.places))),
        ])  # fmt: skip


def join(parts: Sequence[DenseTargets]) -> DenseTargets:
    """The targets of several pictures in a row."""
    names = [field.name for field in fields(DenseTargets)]
    return DenseTargets(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


class DenseHead(nn.Module):
    """Reads the targets off visual tokens (n, width), as the decoder gets them, by one linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (BUCKETS, 4, SLOTS * CHARACTERS, 2)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, sum(self.sizes))

    def losses(self, tokens: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
        """(KINDS,): sums over tokens, each in nats or tile sides, to be divided by `totals`."""
        names, edges, characters, places = self.linear(self.norm(tokens)).float().split(self.sizes, dim=-1)
        known = targets.known
        there = known & (targets.names[:, 0] > 0)
        return torch.stack([
            _name_loss(names[known], targets.names[known]),
            (edges[there] - targets.edges[there]).abs().mean(dim=-1).sum() * 4,
            _character_loss(characters[known].unflatten(-1, (SLOTS, -1)), targets.characters[known]),
            (places - targets.places).abs().mean(dim=-1).sum() * 2,
        ])  # fmt: skip


def _name_loss(logits: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to a distribution that is even over the words."""
    given = words >= 0
    chances = logits.log_softmax(-1).gather(1, words.clamp(min=0))
    losses = -(chances * given).sum(-1) / given.sum(-1).clamp(min=1)
    return (losses * torch.where(words[:, 0] > 0, 1.0, NOTHING)).sum()


def _character_loss(logits: torch.Tensor, characters: torch.Tensor) -> torch.Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1), characters.flatten(), reduction="none")
    return (losses * torch.where(characters.flatten() > 0, 1.0, NOTHING)).sum()


def dense_targets(plan: Plan, boxes: Sequence[Box] | None, unit: int) -> DenseTargets:
    """The truth about each visual token of one picture, tile by tile; `boxes` are that picture's, None if unknown.

    `unit` is the side of a token in px.
    """
    tokens, frames, places = _token_boxes(plan, unit)
    count = len(tokens)
    names = np.full((count, MOST_WORDS), -1, dtype=np.int64)
    names[:, 0] = 0
    edges = np.zeros((count, 4), dtype=np.float32)
    characters = np.zeros((count, SLOTS), dtype=np.int64)
    for box in sorted(boxes or (), key=lambda box: -_area(box)):
        if box.kind == "object":
            on = _lies_on(tokens, box)
            names[on] = _buckets(box.label)
            edges[on] = _edges(tokens[on], frames[on], box)
    for box in boxes or ():
        if box.kind == "text":
            _write(characters, tokens, box)
    return DenseTargets(
        torch.full((count,), boxes is not None),
        *map(torch.from_numpy, (names, edges, characters, places)),
    )


def _token_boxes(plan: Plan, unit: int) -> tuple[Floats, Floats, Floats]:
    """Of every token: its box and its tile's, (n, 4) in px of the picture, and its place in the tile, (n, 2)."""
    scale = np.array([plan.width / plan.resized[0], plan.height / plan.resized[1]] * 2)
    tokens, frames, places = [], [], []
    for tile, box in enumerate(plan.tile_boxes):
        columns, rows = token_grid(plan, tile, unit)
        row, column = (each.ravel() for each in np.mgrid[0:rows, 0:columns])
        wide, high = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
        its = np.stack([column * wide, row * high, (column + 1) * wide, (row + 1) * high], axis=1)
        tokens.append((its + np.tile(box[:2], 2)) * scale)
        frames.append(np.broadcast_to(np.array(box) * scale, (len(its), 4)))
        places.append(np.stack([(row + 0.5) / rows, (column + 0.5) / columns], axis=1))
    first, second, third = (np.concatenate(each).astype(np.float32) for each in (tokens, frames, places))
    return first, second, third


def token_grid(plan: Plan, tile: int, unit: int) -> tuple[int, int]:
    """Columns and rows of visual tokens of a tile, an overview among them."""
    left, top, right, bottom = plan.tile_boxes[tile]
    size = (right - left, bottom - top)
    if tile == plan.overview:
        square = round(plan.tile_tokens[tile] ** 0.5) * unit
        size = plan.overview_size or (square, square)
    return size[0] // unit, size[1] // unit


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def _lies_on(tokens: Floats, box: Box) -> npt.NDArray[np.bool_]:
    """Tokens whose middle lies in the box, or that hold its middle, as those of a small one do."""
    x, y = (tokens[:, 0] + tokens[:, 2]) / 2, (tokens[:, 1] + tokens[:, 3]) / 2
    inside = (x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)
    return inside | _holds(tokens, (box.left + box.right) / 2, (box.top + box.bottom) / 2)


def _holds(tokens: Floats, x: float, y: float) -> npt.NDArray[np.bool_]:
    return (tokens[:, 0] <= x) & (x < tokens[:, 2]) & (tokens[:, 1] <= y) & (y < tokens[:, 3])


def _edges(tokens: Floats, frames: Floats, box: Box) -> Floats:
    """Distances from the middle of each token to the box's edges, cut to its tile."""
    middle = (tokens[:, :2] + tokens[:, 2:]) / 2
    corners = np.array([box.left, box.top, box.right, box.bottom], dtype=np.float32)
    low, high = np.tile(frames[:, :2], 2), np.tile(frames[:, 2:], 2)
    side = (frames[:, 2:] - frames[:, :2]).max(axis=1, keepdims=True)
    found: Floats = ((np.clip(corners, low, high) - np.tile(middle, 2)) / side).astype(np.float32)
    return found


def _buckets(label: str) -> Ints:
    words = [word for word in label.lower().replace("-", " ").split() if word][-MOST_WORDS:]
    found = [1 + crc32(word.encode()) % (BUCKETS - 1) for word in words] or [0]
    return np.array(found + [-1] * (MOST_WORDS - len(found)), dtype=np.int64)


def _write(characters: Ints, tokens: Floats, box: Box) -> None:
    """Puts the characters of a printed line where they stand, by the widths of a usual typeface."""
    lines = box.label.split("\n")
    height = (box.bottom - box.top) / len(lines)
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        ends = np.cumsum([_width(character) for character in line])
        middles = (ends - np.array([_width(character) for character in line]) / 2) / ends[-1]
        y = box.top + (number + 0.5) * height
        row = np.flatnonzero((tokens[:, 1] <= y) & (y < tokens[:, 3]))
        for character, middle in zip(line, middles, strict=True):
            if character.isspace():
                continue
            x = box.left + middle * (box.right - box.left)
            # With an overview there are two tokens for every place.
            for token in row[(tokens[row, 0] <= x) & (x < tokens[row, 2])]:
                used = int(np.count_nonzero(characters[token]))
                characters[token, used : used + 1] = _number(character)


def _number(character: str) -> int:
    return ord(character) - ord(FIRST) + 1 if FIRST <= character <= LAST else CHARACTERS - 1


@cache
def _width(character: str) -> float:
    """In px of a usual typeface: most differ from it by less than a character in a line."""
    return float(max(1.0, font(nano_faces()[0], 32).getlength(character)))
