"""Dense supervision: what every single visual token shows, known because we drew it.

An answer says one thing about a whole picture; here each visual token says which shape it lies on, which colour,
and which characters stand in it. From answers alone the encoder of the nano model still could not tell shapes
after 15,000 pictures (LOG.md). The head is used in training only and is no part of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from magicvl.edge.plan import Plan
from magicvl.train.drawing import Drawing
from magicvl.train.scenes import COLOURS, SHAPES, Scene

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KINDS = ("none", *SHAPES, "print")
_COLOURS = tuple(COLOURS)
_LEAST = 0.08
"""Share of a token that an object must cover to be what the token shows."""


@dataclass(frozen=True)
class DenseTargets:
    """The truth about `n` visual tokens."""

    kinds: torch.Tensor
    """(n,): 0 nothing, then the shapes, then print."""
    colours: torch.Tensor
    """(n,): of the object, or of the background where there is none."""
    characters: torch.Tensor
    """(n, 62): 1 where the character's centre lies in the token."""


class DenseHead(nn.Module):
    """Reads all of it off a visual token, (n, width) as the decoder gets it, by one linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (len(_KINDS), len(_COLOURS), len(CHARACTERS))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, sum(self.sizes))

    def loss(self, tokens: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
        """Mean cross-entropies in nats, one for each of the three questions, added."""
        kinds, colours, characters = self.linear(self.norm(tokens)).split(self.sizes, dim=-1)
        device = tokens.device
        spelled = F.binary_cross_entropy_with_logits(characters, targets.characters.to(device), reduction="sum") / len(
            tokens
        )
        # Most tokens show nothing; what there is should not drown in that.
        weights = kinds.new_ones(len(_KINDS))
        weights[0] = 0.15
        return (
            F.cross_entropy(kinds, targets.kinds.to(device), weight=weights)
            + F.cross_entropy(colours, targets.colours.to(device))
            + 0.3 * spelled
        )


def dense_targets(scene: Scene, drawing: Drawing, plan: Plan, unit: int) -> DenseTargets:
    """The truth about each visual token of a picture, tile by tile in raster order."""
    owners = np.asarray(drawing.owners.resize(plan.resized, Image.Resampling.NEAREST))
    rows, columns = owners.shape[0] // unit, owners.shape[1] // unit
    objects = len(scene.shapes) + (scene.print is not None)
    cells = owners.reshape(rows, unit, columns, unit)
    shares = np.stack([(cells == number).mean((1, 3)) for number in range(1, objects + 1)], -1) if objects else None
    shown = np.zeros((rows, columns), dtype=np.int64)
    if shares is not None:
        shown = np.where(shares.max(-1) >= _LEAST, shares.argmax(-1) + 1, 0)
    kinds = np.array([0, *(_KINDS.index(s.kind) for s in scene.shapes), _KINDS.index("print")])
    names = [
        scene.background,
        *(s.colour for s in scene.shapes),
        scene.print.colour if scene.print else "red",
    ]
    colours = np.array([_COLOURS.index(name) for name in names])
    order = _tile_order(plan, unit)
    return DenseTargets(
        torch.from_numpy(kinds[shown].ravel()[order]),
        torch.from_numpy(colours[shown].ravel()[order]),
        torch.from_numpy(_characters(drawing, plan, unit, rows, columns)[order]),
    )


def join(targets: Sequence[DenseTargets]) -> DenseTargets:
    """The targets of several pictures, one after another."""
    return DenseTargets(
        torch.cat([one.kinds for one in targets]),
        torch.cat([one.colours for one in targets]),
        torch.cat([one.characters for one in targets]),
    )


def _characters(drawing: Drawing, plan: Plan, unit: int, rows: int, columns: int) -> np.ndarray:
    found = np.zeros((rows, columns, len(CHARACTERS)), dtype=np.float32)
    for glyph in drawing.glyphs:
        row = int(glyph.y * plan.resized[1] / plan.height) // unit
        column = int(glyph.x * plan.resized[0] / plan.width) // unit
        found[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1), CHARACTERS.index(glyph.character)] = 1
    return found.reshape(rows * columns, -1)


def _tile_order(plan: Plan, unit: int) -> np.ndarray:
    """Index of each visual token in the raster of the whole picture, in the order of the tiles."""
    numbers = np.arange(plan.resized[0] * plan.resized[1] // unit**2).reshape(plan.resized[1] // unit, -1)
    return np.concatenate(
        [
            numbers[top // unit : bottom // unit, left // unit : right // unit].ravel()
            for left, top, right, bottom in plan.tile_boxes
        ]
    )
