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

Models of other makers were trained on pictures cut otherwise. A grid names that way as its policy:

    native    as above
    square    the whole picture as one tile, its shape lost
    idefics3  full tiles, then an overview: Idefics3, SmolVLM (magicvl.edge.reference_sizes)
    nanovlm   an overview, then full tiles: nanoVLM
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from magicvl.edge.reference_sizes import idefics3_sizes, nanovlm_size
from magicvl.errors import UsageError

Box = tuple[int, int, int, int]
POLICIES = ("native", "square", "idefics3", "nanovlm")
RESAMPLES = ("bilinear", "bicubic", "lanczos")
"""Pillow's filters, antialiased."""


@dataclass(frozen=True)
class Grid:
    """What a model allows: sides in px, limits in tiles and visual tokens."""

    unit: int = 32
    """Side of one visual token in px (patch 16 x unshuffle 2)."""
    tile: int = 384
    """Side of a full tile in px; with the policy `native` a multiple of `unit`."""
    max_tiles: int = 24
    """Most tiles of one picture, an overview among them."""
    policy: str = "native"
    """How pictures are cut, one of POLICIES."""
    longest: int | None = None
    """Longest side in px that idefics3 and nanovlm resize to, the others have none."""
    enlarge: bool = True
    """nanovlm: whether a smaller picture is enlarged to `longest`; idefics3 always does."""
    overview: bool = True
    """nanovlm: whether an overview comes first; idefics3 always has one."""
    resample: str = "bilinear"
    """Filter of the resize, one of RESAMPLES."""

    def __post_init__(self) -> None:
        # Other makers' tiles may have a rest that their encoder's convolution leaves out: 384 px of 42 px tokens.
        odd = self.policy == "native" and self.unit > 0 and self.tile % self.unit > 0
        if self.unit < 1 or self.tile < self.unit or odd or self.max_tiles < 1:
            raise UsageError(
                f"grid {self.tile} px tiles of {self.unit} px tokens, at most {self.max_tiles}: the tile "
                f"must be a positive multiple of the token, and at least one tile allowed"
            )
        if self.policy not in POLICIES or self.resample not in RESAMPLES:
            raise UsageError(
                f"pictures cut by {self.policy!r} and resized by {self.resample!r}: there are "
                f"{', '.join(POLICIES)} and {', '.join(RESAMPLES)}"
            )
        splits = self.policy in ("idefics3", "nanovlm")
        if splits != (self.longest is not None) or (self.longest is not None and self.longest < self.tile):
            raise UsageError(
                f"a longest side of {self.longest} px with the policy {self.policy!r}: idefics3 and nanovlm need one "
                f"of at least a tile, {self.tile} px, the others have none"
            )
        if self.policy == "nanovlm" and self.longest is not None and self.longest % self.tile:
            raise UsageError(
                f"a longest side of {self.longest} px: nanovlm needs a multiple of its {self.tile} px tile"
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
    """left, top, right, bottom of each tile in the resized picture, in raster order.

    An overview is the whole of it, shrunk to one tile; it stands where the model wants it, first or last.
    """
    columns: int
    """Tiles in a row, an overview not counted."""
    tile_tokens: tuple[int, ...]
    """Visual tokens of each tile, in the order of `tile_boxes`."""
    scale: float
    """1.0 unless the picture lost detail; then resized long side / original long side."""
    steps: tuple[tuple[int, int], ...] = ()
    """Sizes in px that the picture is resized to before `resized`, each from the last, as the reference does."""
    overview: int | None = None
    """Which of the tiles is the overview."""
    resample: str = "bilinear"
    """Filter of each resize, Pillow's."""
    overview_resample: str = "bilinear"
    """Filter that makes the overview of the resized picture."""

    @property
    def rows(self) -> int:
        """Rows of tiles, an overview not counted."""
        return (len(self.tile_boxes) - (self.overview is not None)) // self.columns

    @property
    def tokens(self) -> int:
        """Visual tokens of the whole picture, separators not counted."""
        return sum(self.tile_tokens)

    def to_json(self) -> dict[str, object]:
        """The entry of `images` in the JSON of `ask` and `plan`; `overview` only where there is one."""
        overview = {} if self.overview is None else {"overview": self.overview}
        return {
            "width": self.width,
            "height": self.height,
            "resized": list(self.resized),
            "tiles": len(self.tile_boxes),
            "tokens": self.tokens,
            "scale": round(self.scale, 6),
            **overview,
        }


def plan(width: int, height: int, grid: Grid, budget: int | None = None) -> Plan:
    """Plans a picture of width x height px; `budget` is the most visual tokens, None for the grid's own.

    Raises UsageError for an empty picture, a budget below one token, or one that a reference's fixed tiles cannot
    keep.
    """
    if width < 1 or height < 1:
        raise UsageError(f"a picture of {width} x {height} px: both sides must be at least 1 px")
    if budget is not None and budget < 1:
        raise UsageError(f"a budget of {budget} visual tokens: it must be at least 1")
    if grid.policy != "native":
        return _plan_as_reference(width, height, grid, budget)
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
        resample=grid.resample,
    )


def _plan_as_reference(width: int, height: int, grid: Grid, budget: int | None) -> Plan:
    """Full tiles as the policy's reference cuts them; past a limit the longest side shrinks tile by tile."""
    made = None
    for longest in _longest_sides(grid):
        made = _reference(width, height, grid, longest)
        if len(made.tile_boxes) <= grid.max_tiles and (budget is None or made.tokens <= budget):
            return replace(made, scale=min(1.0, max(made.resized) / max(width, height)))
    least = made.tokens if made else 0
    raise UsageError(f"a budget of {budget} visual tokens: a picture takes this model {least} at least")


def _longest_sides(grid: Grid) -> Iterator[int]:
    """The longest side that the policy wants, then the shorter multiples of a tile."""
    longest = grid.longest or grid.tile
    yield longest
    yield from range((longest - 1) // grid.tile * grid.tile, 0, -grid.tile)


def _reference(width: int, height: int, grid: Grid, longest: int) -> Plan:
    steps: tuple[tuple[int, int], ...] = ()
    if grid.policy == "square":
        resized = (grid.tile, grid.tile)
    elif grid.policy == "idefics3":
        first, resized = idefics3_sizes(width, height, grid.tile, longest)
        steps = (first,)
    else:
        resized = nanovlm_size(width, height, grid.tile, longest, enlarge=grid.enlarge)
    boxes, overview = _cut(resized, grid.tile), None
    columns = resized[0] // grid.tile
    if len(boxes) > 1 and grid.policy == "idefics3":
        overview = len(boxes)
        boxes = (*boxes, (0, 0, *resized))
    elif len(boxes) > 1 and grid.overview:
        overview = 0
        boxes = ((0, 0, *resized), *boxes)
    return Plan(
        width=width,
        height=height,
        resized=resized,
        tile_boxes=boxes,
        columns=columns,
        tile_tokens=((grid.tile // grid.unit) ** 2,) * len(boxes),
        scale=1.0,
        steps=steps,
        overview=overview,
        resample=grid.resample,
        # nanoVLM makes its overview of a tensor, by torchvision's default filter.
        overview_resample="bilinear" if grid.policy == "nanovlm" else grid.resample,
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
