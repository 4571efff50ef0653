"""The pictures that parity is proven on: drawn here, so that they need no file and never change."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from magicvl.edge.plan import Grid, Plan, plan


@dataclass(frozen=True)
class Example:
    """One picture and what it is called in the report."""

    name: str
    picture: Image.Image


def examples(grid: Grid) -> list[Example]:
    """Pictures that lead to one token, a full tile, edge tiles on both axes, a column and many tiles.

    Sizes follow from the grid, and are no multiples of a token, so that every one but two is resized. A MagicVL that
    allows fewer tiles gets fewer pictures.
    """
    unit, tile = grid.unit, grid.tile
    sizes = {
        "one token": (unit, unit),
        "a full tile": (tile, tile),
        "edge tiles on both axes": (tile + 2 * unit + 5, tile + 3 * unit - 7),
        "one row": (2 * tile - 13, unit + 3),
        "a column": (unit - 5, tile + unit + 9),
        "many tiles": (2 * tile + unit - 11, 2 * tile - 2 * unit + 9),
    }
    made = [Example(name, draw(*size, seed)) for seed, (name, size) in enumerate(sizes.items())]
    # MagicVL's reference knows no limits; the others scale pictures as a rule, and their own processors say how.
    return [each for each in made if grid.policy != "native" or _is_free(plan(*each.picture.size, grid), grid)]


def _is_free(planned: Plan, grid: Grid) -> bool:
    """Whether no limit binds."""
    return planned.scale == 1 and planned.tokens >= grid.min_tokens


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Flat colours, edges, lines one pixel wide and noise: what filters and patches differ on."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        box = (x, y, x + width // 4, y + height // 4)
        (pen.rectangle if random.integers(2) else pen.ellipse)(box, fill=colour)
        pen.line((x, 0, width - x, height), fill=colour)
    noise = random.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture).astype(int) + noise, 0, 255).astype(np.uint8))
