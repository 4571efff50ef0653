"""Dense supervision: what every single visual token shows, known because we drew it.

An answer says one thing about a whole picture; here each visual token says what it lies on, which objects have their
middle in it and where those are, which characters stand in it and as which of their line. From answers alone the
encoder of the nano model still could not tell shapes after 15,000 pictures (LOG.md). The head is used in training only
and is no part of the model.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from magicvl.edge.plan import Plan
from magicvl.train.nano.drawing import Drawing
from magicvl.train.nano.scenes import COLOURS, SHAPES, Scene

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OBJECT_SLOTS = 4
"""Most objects that one token tells apart, in raster order of their places."""
CHARACTER_SLOTS = 5
"""Most characters of one token, in reading order."""
LINE_SLOTS = 8
"""Most characters of one line of print."""
_KINDS = ("none", *SHAPES, "print")
_COLOURS = tuple(COLOURS)
_CELLS = 9
_LEAST = 0.08
"""Share of a token that an object must cover to be what the token lies on."""


@dataclass(frozen=True)
class DenseTargets:
    """The truth about `n` visual tokens."""

    kinds: torch.Tensor
    """(n,): what the token lies on: 0 nothing, then the shapes, then print."""
    colours: torch.Tensor
    """(n,): of that, or of the background where there is nothing."""
    objects: torch.Tensor
    """(n, OBJECT_SLOTS, 3): kind (0 none), colour and place of the shapes whose middle lies in the token; the place
    is one of the tile's 3 x 3 cells, 0 top left to 8 bottom right."""
    characters: torch.Tensor
    """(n, CHARACTER_SLOTS): 0 none, then CHARACTERS, of those whose middle lies in the token."""
    places: torch.Tensor
    """(n, 2): row and column of the token's middle as a share of its tile, 0 to 1."""
    lines: torch.Tensor
    """(n, LINE_SLOTS): those characters again, each at its number in the part of its line that the tile shows:
    reading a line is then a look-up, one slot after another."""
    whole_places: torch.Tensor
    """(n, 2): row and column of the token's middle as a share of the whole picture, 0 to 1."""
    whole_cells: torch.Tensor
    """(n, OBJECT_SLOTS): of those objects, which of the picture's 3 x 3 cells they lie in."""


class DenseHead(nn.Module):
    """Reads all of it off a visual token, (n, width) as the decoder gets it, by one linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.objects = (1 + len(SHAPES), len(_COLOURS), _CELLS)
        self.sizes = (
            len(_KINDS), len(_COLOURS), OBJECT_SLOTS * sum(self.objects), CHARACTER_SLOTS * (1 + len(CHARACTERS)), 2,
            LINE_SLOTS * (1 + len(CHARACTERS)),
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, sum(self.sizes))
        self.whole_norm = nn.LayerNorm(width)
        self.whole = nn.Linear(width, 2 + OBJECT_SLOTS * _CELLS)

    def loss(self, tokens: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
        """Mean cross-entropies in nats of all the questions, and the places' squared error, added."""
        its = DenseTargets(**{field.name: getattr(targets, field.name).to(tokens.device) for field in fields(targets)})
        read = self.linear(self.norm(tokens)).split(self.sizes, dim=-1)
        kinds, colours, objects, characters, places, lines = read
        kind, colour, cell = objects.unflatten(-1, (OBJECT_SLOTS, -1)).split(self.objects, dim=-1)
        there = its.objects[..., 0] > 0
        # Most tokens show nothing; what there is should not drown in that.
        weights = kinds.new_ones(len(_KINDS))
        weights[0] = 0.15
        return (
            F.cross_entropy(kinds, its.kinds, weight=weights)
            + F.cross_entropy(colours, its.colours)
            + _sparse_loss(kind, its.objects[..., 0])
            + _mean_loss(colour[there], its.objects[..., 1][there])
            + _mean_loss(cell[there], its.objects[..., 2][there])
            + _sparse_loss(characters.unflatten(-1, (CHARACTER_SLOTS, -1)), its.characters)
            + 4 * F.mse_loss(places, its.places)
            + _sparse_loss(lines.unflatten(-1, (LINE_SLOTS, -1)), its.lines)
        )

    def place_loss(self, states: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
        """Of the decoder's states of the tokens, (n, width): cross-entropy in nats of the objects' cells in the whole
        picture, and the squared error of the tokens' own places in it."""
        places, cells = self.whole(self.whole_norm(states)).split((2, OBJECT_SLOTS * _CELLS), dim=-1)
        there = targets.objects[..., 0].to(states.device) > 0
        truth = targets.whole_cells.to(states.device)[there]
        return _mean_loss(cells.unflatten(-1, (OBJECT_SLOTS, -1))[there], truth) + 4 * F.mse_loss(
            places, targets.whole_places.to(states.device)
        )


def _sparse_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What is there and what is not each by their own mean; 0 is nothing."""
    there = labels > 0
    return _mean_loss(logits[there], labels[there]) + F.cross_entropy(logits[~there], labels[~there])


def _mean_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # A few more than there are: one lone character in a batch is not to weigh as much as a hundred.
    return F.cross_entropy(logits, labels, reduction="sum") / (len(labels) + 16)


def dense_targets(scene: Scene, drawing: Drawing, plan: Plan, unit: int) -> DenseTargets:
    """The truth about each visual token of a picture, tile by tile in raster order."""
    kinds, colours = _lies_on(scene, drawing, plan, unit)
    order = _tile_order(plan, unit)
    characters, lines = _characters(scene, drawing, plan, unit)
    objects, cells = _objects(scene, drawing, plan, unit)
    columns, rows = (side // unit for side in plan.resized)
    by_token = (
        kinds.ravel(), colours.ravel(), objects, characters, _places(plan, unit), lines, _shares(rows, columns), cells,
    )  # fmt: skip
    return DenseTargets(*(torch.from_numpy(values[order]) for values in by_token))


def join(targets: Sequence[DenseTargets]) -> DenseTargets:
    """The targets of several pictures, one after another."""
    return DenseTargets(*(torch.cat([getattr(one, field.name) for one in targets]) for field in fields(DenseTargets)))


def _lies_on(scene: Scene, drawing: Drawing, plan: Plan, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Kind and colour of each token in the raster of the whole picture, (rows, columns) each."""
    owners = np.asarray(drawing.owners.resize(plan.resized, Image.Resampling.NEAREST))
    rows, columns = owners.shape[0] // unit, owners.shape[1] // unit
    objects = len(scene.shapes) + len(scene.prints)
    cells = owners.reshape(rows, unit, columns, unit)
    shown = np.zeros((rows, columns), dtype=np.int64)
    if objects:
        shares = np.stack([(cells == number).mean((1, 3)) for number in range(1, objects + 1)], -1)
        shown = np.where(shares.max(-1) >= _LEAST, shares.argmax(-1) + 1, 0)
    kinds = [0, *(_KINDS.index(s.kind) for s in scene.shapes), *(_KINDS.index("print") for _ in scene.prints)]
    names = [scene.background, *(s.colour for s in scene.shapes), *(p.colour for p in scene.prints)]
    return np.array(kinds)[shown], np.array([_COLOURS.index(name) for name in names])[shown]


def _objects(scene: Scene, drawing: Drawing, plan: Plan, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Object slots of each token, in the raster of the whole picture, and their cells of the whole."""
    columns, rows = (side // unit for side in plan.resized)
    found: dict[int, list[tuple[int, int, int, int]]] = {}
    for shape, centre in zip(scene.shapes, drawing.centres, strict=True):
        x, y = _resized(plan, *centre)
        object_ = (_KINDS.index(shape.kind), _COLOURS.index(shape.colour), _cell(plan, x, y), shape.cell)
        found.setdefault(y // unit * columns + x // unit, []).append(object_)
    objects = np.zeros((rows * columns, OBJECT_SLOTS, 4), dtype=np.int64)
    for token, its in found.items():
        slots = sorted(its, key=lambda one: one[2])[:OBJECT_SLOTS]
        objects[token, : len(slots)] = slots
    return objects[..., :3], objects[..., 3]


def _characters(scene: Scene, drawing: Drawing, plan: Plan, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Character slots and line slots of each token, in the raster of the whole picture."""
    columns, rows = (side // unit for side in plan.resized)
    characters = np.zeros((rows * columns, CHARACTER_SLOTS), dtype=np.int64)
    lines = np.zeros((rows * columns, LINE_SLOTS), dtype=np.int64)
    glyphs = iter(drawing.glyphs)
    for printed in scene.prints:
        before: Counter[int] = Counter()
        for glyph in islice(glyphs, len(printed.text)):
            x, y = _resized(plan, glyph.x, glyph.y)
            token, tile = y // unit * columns + x // unit, _tile(plan, x, y)
            number = 1 + CHARACTERS.index(glyph.character)
            used = int(np.count_nonzero(characters[token]))
            characters[token, used : used + 1] = number
            lines[token, before[tile] : before[tile] + 1] = number
            before[tile] += 1
    return characters, lines


def _resized(plan: Plan, x: float, y: float) -> tuple[int, int]:
    """The pixel of the resized picture where a place of the picture is."""
    width, height = plan.resized
    return min(int(x * width / plan.width), width - 1), min(int(y * height / plan.height), height - 1)


def _tile(plan: Plan, x: int, y: int) -> int:
    """The tile that a pixel of the resized picture lies in."""
    for number, (left, top, right, bottom) in enumerate(plan.tile_boxes):
        if left <= x < right and top <= y < bottom:
            return number
    raise AssertionError(f"no tile holds {x}, {y}")


def _cell(plan: Plan, x: int, y: int) -> int:
    """Which of the 3 x 3 cells of its tile a pixel of the resized picture lies in."""
    left, top, right, bottom = plan.tile_boxes[_tile(plan, x, y)]
    return 3 * ((y - top) * 3 // (bottom - top)) + (x - left) * 3 // (right - left)


def _places(plan: Plan, unit: int) -> np.ndarray:
    columns, rows = plan.resized[0] // unit, plan.resized[1] // unit
    places = np.zeros((rows, columns, 2), dtype=np.float32)
    for box in plan.tile_boxes:
        left, top, right, bottom = (side // unit for side in box)
        places[top:bottom, left:right] = _shares(bottom - top, right - left).reshape(bottom - top, right - left, 2)
    return places.reshape(-1, 2)


def _shares(rows: int, columns: int) -> np.ndarray:
    """(rows * columns, 2): row and column of each token's middle as a share of the whole, in raster order."""
    down, across = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    return np.stack([down, across], -1).reshape(-1, 2).astype(np.float32)


def _tile_order(plan: Plan, unit: int) -> np.ndarray:
    """Index of each visual token in the raster of the whole picture, in the order of the tiles."""
    numbers = np.arange(plan.resized[0] * plan.resized[1] // unit**2).reshape(plan.resized[1] // unit, -1)
    return np.concatenate(
        [
            numbers[top // unit : bottom // unit, left // unit : right // unit].ravel()
            for left, top, right, bottom in plan.tile_boxes
        ]
    )
