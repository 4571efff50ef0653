"""The plan: how a picture is resized and cut into tiles. Pure integer arithmetic, no pixels.

Token-level dynamic resolution after MagicVL-2B (arXiv 2508.01540): each side goes to the nearest
multiple of one visual token, and the result is cut into tiles of the pretraining side. One deviation
from the paper: an edge tile keeps its own smaller size and is not padded.

    width x height  ->  resized (multiples of `unit`)  ->  boxes in raster order

         384        384      160
      +----------+----------+----+
      |    0     |    1     | 2  |  384
      +----------+----------+----+
      |    3     |    4     | 5  |  96
      +----------+----------+----+
"""

from dataclasses import dataclass

from magicvl.errors import UsageError

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Grid:
    """What a model allows: sides in px, limits in tiles and visual tokens."""

    unit: int = 32
    """Side of one visual token in px (patch 16 x unshuffle 2)."""
    tile: int = 384
    """Side of a full tile in px, a multiple of `unit`."""
    max_tiles: int = 24
    """Most tiles of one picture."""

    def __post_init__(self) -> None:
        if self.unit < 1 or self.tile < self.unit or self.tile % self.unit or self.max_tiles < 1:
            raise UsageError(
                f"grid {self.tile} px tiles of {self.unit} px tokens, at most {self.max_tiles}: the tile "
                f"must be a positive multiple of the token, and at least one tile allowed"
            )

    @property
    def max_tokens(self) -> int:
        """Visual tokens of a picture that fills every tile."""
        return self.max_tiles * (self.tile // self.unit) ** 2


@dataclass(frozen=True)
class Plan:
    """What one picture becomes."""

    width: int
    """Width of the picture as it came, in px, after EXIF rotation."""
    height: int
    """Height of the picture as it came, in px, after EXIF rotation."""
    resized: tuple[int, int]
    """Width and height in px that the tiles cover, multiples of the grid's unit."""
    tile_boxes: tuple[Box, ...]
    """left, top, right, bottom of each tile in the resized picture, in raster order."""
    columns: int
    """Tiles in a row."""
    tile_tokens: tuple[int, ...]
    """Visual tokens of each tile, in the order of `tile_boxes`."""
    scale: float
    """1.0 unless the budget or the tile limit bound; then resized long side / original long side."""

    @property
    def tokens(self) -> int:
        """Visual tokens of the whole picture, separators not counted."""
        return sum(self.tile_tokens)

    def to_json(self) -> dict[str, object]:
        """The entry of `images` in the JSON of `ask` and `plan`."""
        return {
            "width": self.width,
            "height": self.height,
            "resized": list(self.resized),
            "tiles": len(self.tile_boxes),
            "tokens": self.tokens,
            "scale": round(self.scale, 6),
        }


def plan(width: int, height: int, grid: Grid, budget: int | None = None) -> Plan:
    """Plans a picture of width x height px; `budget` is the most visual tokens, None for the grid's own.

    Raises UsageError for an empty picture or a budget below one token.
    """
    if width < 1 or height < 1:
        raise UsageError(f"a picture of {width} x {height} px: both sides must be at least 1 px")
    if budget is not None and budget < 1:
        raise UsageError(f"a budget of {budget} visual tokens: it must be at least 1")
    across, down, bound = _fit(width, height, grid, budget)
    resized = (across * grid.unit, down * grid.unit)
    boxes = _cut(resized, grid.tile)
    return Plan(
        width=width,
        height=height,
        resized=resized,
        tile_boxes=boxes,
        columns=-(-resized[0] // grid.tile),
        tile_tokens=tuple((r - x) * (b - y) // grid.unit**2 for x, y, r, b in boxes),
        scale=max(resized) / max(width, height) if bound else 1.0,
    )


def _nearest(numerator: int, denominator: int) -> int:
    """floor(n/d + 0.5) without floating point, and never below one."""
    return max(1, (2 * numerator + denominator) // (2 * denominator))


def _fit(width: int, height: int, grid: Grid, budget: int | None) -> tuple[int, int, bool]:
    """Columns and rows of visual tokens, and whether a limit bound.

    Where one binds, the long side shrinks by whole tokens until the picture fits, and the short side
    follows in proportion, so that both stay as near to the picture's shape as the token allows.
    """
    across, down = _nearest(width, grid.unit), _nearest(height, grid.unit)
    if _fits(across, down, grid, budget):
        return across, down, False
    long, short = max(width, height), min(width, height)
    # No picture that fits is longer than a single row of full tiles, so the search starts there.
    longest = min(max(across, down) - 1, grid.max_tiles * (grid.tile // grid.unit))
    for units in range(longest, 0, -1):
        other = min(units, _nearest(short * units, long))
        across, down = (units, other) if width >= height else (other, units)
        if _fits(across, down, grid, budget):
            break
    return across, down, True


def _fits(across: int, down: int, grid: Grid, budget: int | None) -> bool:
    per_side = grid.tile // grid.unit
    tiles = -(-across // per_side) * -(-down // per_side)
    return tiles <= grid.max_tiles and (budget is None or across * down <= budget)


def _cut(size: tuple[int, int], tile: int) -> tuple[Box, ...]:
    width, height = size
    return tuple(
        (x, y, min(x + tile, width), min(y + tile, height))
        for y in range(0, height, tile)
        for x in range(0, width, tile)
    )
