"""The plan: how a picture is resized and cut into tiles. Pure integer arithmetic, no pixels.

Token-level dynamic resolution after MagicVL-2B (arXiv 2508.01540): each side goes to the nearest
multiple of one visual token, and the result is cut into tiles of the pretraining side. One deviation
from the paper: an edge tile keeps its own smaller size and is not padded. A model that learned to see small
pictures enlarged says so by `min_tokens`.

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
    lfm2      one tile of any shape; a large picture as full tiles, then an overview of its shape: LFM2-VL
    internvl  full tiles in the grid nearest to the picture's shape, then an overview: InternVL, to compare with
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import isqrt

from magicvl.edge.reference_sizes import Lfm2Rules, idefics3_sizes, lfm2_grid, lfm2_splits, lfm2_whole, nanovlm_size
from magicvl.errors import UsageError

Box = tuple[int, int, int, int]
POLICIES = ("native", "square", "idefics3", "nanovlm", "lfm2", "internvl")
RESAMPLES = ("bilinear", "bicubic", "lanczos")
"""Pillow's filters, antialiased."""
MAX_SPLIT = 64
"""Most tiles that the policies lfm2 and internvl split a picture into: they try every grid."""


@dataclass(frozen=True)
class Grid:
    """What a model allows: sides in px, limits in tiles and visual tokens."""

    unit: int = 32
    """Side of one visual token in px (patch 16 x unshuffle 2)."""
    tile: int = 384
    """Side of a full tile in px; with the policies `native` and `lfm2` a multiple of `unit`."""
    max_tiles: int = 24
    """Most tiles of one picture, an overview among them."""
    policy: str = "native"
    """How pictures are cut, one of POLICIES."""
    longest: int | None = None
    """Longest side in px that idefics3 and nanovlm resize to; square may have one that it goes through first, as
    Idefics3 without splitting does; the others have none."""
    enlarge: bool = True
    """nanovlm: whether a smaller picture is enlarged to `longest`; idefics3 always does."""
    overview: bool = True
    """nanovlm and lfm2: whether several tiles come with an overview; idefics3 always has one."""
    lfm2: Lfm2Rules | None = None
    """What the policy lfm2 needs beside, the others have none."""
    resample: str = "bilinear"
    """Filter of the resize, one of RESAMPLES."""
    min_tokens: int = 1
    """native: fewest visual tokens of a picture; a smaller one is enlarged until it has them. The others have none."""

    def __post_init__(self) -> None:
        # Other makers' tiles may have a rest that their encoder's convolution leaves out: 384 px of 42 px tokens.
        odd = self.policy in ("native", "lfm2", "internvl") and self.unit > 0 and self.tile % self.unit > 0
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
        wants = {"idefics3": (True,), "nanovlm": (True,), "square": (True, False)}.get(self.policy, (False,))
        if (self.longest is not None) not in wants or (self.longest is not None and self.longest < self.tile):
            raise UsageError(
                f"a longest side of {self.longest} px with the policy {self.policy!r}: idefics3 and nanovlm need one "
                f"of at least a tile, {self.tile} px, square may have one, the others have none"
            )
        if self.policy == "nanovlm" and self.longest is not None and self.longest % self.tile:
            raise UsageError(
                f"a longest side of {self.longest} px: nanovlm needs a multiple of its {self.tile} px tile"
            )
        if (self.policy == "lfm2") != (self.lfm2 is not None):
            raise UsageError(f"the policy {self.policy!r}: lfm2 needs its own rules, the others have none")
        if self.lfm2 is not None:
            self._check_lfm2(self.lfm2)
        if not 1 <= self.min_tokens <= self.max_tokens or (self.min_tokens > 1 and self.policy != "native"):
            raise UsageError(
                f"pictures of at least {self.min_tokens} visual tokens, cut by {self.policy!r}: 1 to {self.max_tokens} "
                f"can be had, and by the policy native alone"
            )
        if self.policy == "internvl" and (self.most_split > MAX_SPLIT or not self.overview):
            raise UsageError(
                f"internvl cuts a picture into at most {MAX_SPLIT} tiles and an overview, not {self.max_tiles}"
            )

    def _check_lfm2(self, rules: Lfm2Rules) -> None:
        if not 1 <= rules.least <= rules.most or rules.patch < 1 or rules.split_above < 1:
            raise UsageError(
                f"whole pictures of {rules.least} to {rules.most} tokens of {rules.patch} px patches, split above "
                f"{rules.split_above} px: each must be at least 1, and the first no more than the second"
            )
        if self.max_tiles > 1 and not 1 <= rules.min_tiles <= self.most_split <= MAX_SPLIT:
            raise UsageError(
                f"pictures split into {rules.min_tiles} to {self.most_split} tiles: 1 to {MAX_SPLIT} can be cut, the "
                f"fewest first"
            )

    @property
    def most_split(self) -> int:
        """Most tiles that a picture is split into, an overview not counted."""
        return max(1, self.max_tiles - self.overview)

    @property
    def tile_tokens(self) -> int:
        """Most visual tokens of one tile or overview."""
        full = (self.tile // self.unit) ** 2
        if self.lfm2 is None:
            return full
        return self.lfm2.most if self.max_tiles == 1 else max(full, self.lfm2.most)

    @property
    def max_tokens(self) -> int:
        """Visual tokens of a picture that fills every tile."""
        return self.max_tiles * self.tile_tokens


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
    """Filter that makes the overview."""
    overview_size: tuple[int, int] | None = None
    """Width and height in px of an overview made of the picture as it came; None for one of the resized picture,
    a square tile."""

    @property
    def rows(self) -> int:
        """Rows of tiles, an overview not counted."""
        return (len(self.tile_boxes) - (self.overview is not None)) // self.columns

    @property
    def unit(self) -> int:
        """Side in px of what one visual token shows."""
        tile = 1 if self.overview == 0 else 0
        left, top, right, bottom = self.tile_boxes[tile]
        return isqrt((right - left) * (bottom - top) // self.tile_tokens[tile])

    @property
    def sides(self) -> tuple[int, int]:
        """Visual tokens across and down the tiles, an overview not counted."""
        return self.resized[0] // self.unit, self.resized[1] // self.unit

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
    if grid.lfm2 is not None:
        return _plan_lfm2(width, height, grid, grid.lfm2, budget)
    if grid.policy == "internvl":
        return _plan_internvl(width, height, grid, budget)
    if grid.policy != "native":
        return _plan_as_reference(width, height, grid, budget)
    across, down, bound = _fit(width, height, grid, budget)
    resized = (across * grid.unit, down * grid.unit)
    return _of_boxes(width, height, grid, resized, _cut(resized, grid.tile), lost=bound)


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
        steps = (idefics3_sizes(width, height, grid.tile, grid.longest)[0],) if grid.longest else ()
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


def _plan_lfm2(width: int, height: int, grid: Grid, rules: Lfm2Rules, budget: int | None) -> Plan:
    """Full tiles and an overview for a large picture, else one tile; past a budget fewer tiles, then one of less."""
    whole = _whole(width, height, grid, rules, grid.tile_tokens)
    if grid.max_tiles > 1 and lfm2_splits(width, height, grid.unit, rules):
        for most in range(grid.most_split, rules.min_tiles - 1, -1):
            made = _split(width, height, grid, whole, lfm2_grid(width, height, grid.tile, rules.min_tiles, most))
            if budget is None or made.tokens <= budget:
                return made
    if budget is not None:
        whole = _whole(width, height, grid, rules, min(budget, grid.tile_tokens))
    return _lfm2_boxes(width, height, grid, whole, ((0, 0, *whole),))


def _plan_internvl(width: int, height: int, grid: Grid, budget: int | None) -> Plan:
    """The nearest grid of full tiles, and an overview where they are several; past a budget fewer tiles."""
    for most in range(grid.most_split, 0, -1):
        columns, rows = internvl_grid(width, height, grid.tile, most)
        resized = (columns * grid.tile, rows * grid.tile)
        boxes = _cut(resized, grid.tile)
        lost = 2 * (max(width, height) - max(resized)) > grid.unit
        made = _of_boxes(width, height, grid, resized, boxes, lost=lost)
        if len(boxes) > 1:
            made = replace(
                made,
                tile_boxes=(*boxes, (0, 0, *resized)),
                tile_tokens=(*made.tile_tokens, made.tile_tokens[0]),
                overview=len(boxes),
                overview_size=(grid.tile, grid.tile),
            )
        if budget is None or made.tokens <= budget:
            return made
    raise UsageError(f"a budget of {budget} visual tokens: a picture takes this model {made.tokens} at least")


def internvl_grid(width: int, height: int, tile: int, most: int) -> tuple[int, int]:
    """Columns and rows of at most `most` tiles whose shape is nearest to the picture's, by InternVL's rule.

    Shapes are compared as width / height. Of grids that are equally near, a larger one is taken where the picture
    has more than half its pixels. Whole numbers throughout: |w/h - c/r| is |w r - c h| / (h r).
    """
    best, gap = (1, 1), (abs(width - height), 1)
    for columns, rows in _grids(most):
        other = (abs(width * rows - columns * height), rows)
        nearer, equal = other[0] * gap[1] < gap[0] * other[1], other[0] * gap[1] == gap[0] * other[1]
        if nearer or (equal and 2 * width * height > tile * tile * columns * rows):
            best, gap = (columns, rows), other
    return best


@cache
def _grids(most: int) -> tuple[tuple[int, int], ...]:
    """Every grid of at most so many tiles: the fewest tiles first, and of those the fewest columns."""
    sides = ((columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1))
    return tuple(sorted(sides, key=lambda side: (side[0] * side[1], side[0])))


def _whole(width: int, height: int, grid: Grid, rules: Lfm2Rules, limit: int) -> tuple[int, int]:
    """The size of a whole picture, of `limit` tokens at most.

    The reference fails for long thin pictures of more; here the long side shrinks until they fit.
    """
    size = lfm2_whole(width, height, grid.unit, min(rules.least, limit), min(rules.most, limit))
    if size[0] * size[1] <= limit * grid.unit**2:
        return size
    long, short = max(width, height), min(width, height)
    # No shape that fits has a longer side, so the search starts there.
    longest = min(limit, isqrt(limit * long // short) + long // short + 2)
    for units in range(longest, 0, -1):
        other = min(units, _nearest(short * units, long))
        if units * other <= limit:
            break
    across, down = (units, other) if width >= height else (other, units)
    return across * grid.unit, down * grid.unit


def _split(width: int, height: int, grid: Grid, whole: tuple[int, int], cells: tuple[int, int]) -> Plan:
    resized = (cells[0] * grid.tile, cells[1] * grid.tile)
    boxes = _cut(resized, grid.tile)
    made = _lfm2_boxes(width, height, grid, resized, boxes)
    if len(boxes) == 1 or not grid.overview:
        return made
    return replace(
        made,
        tile_boxes=(*boxes, (0, 0, *resized)),
        tile_tokens=(*made.tile_tokens, whole[0] * whole[1] // grid.unit**2),
        overview=len(boxes),
        overview_size=whole,
    )


def _lfm2_boxes(width: int, height: int, grid: Grid, resized: tuple[int, int], boxes: tuple[Box, ...]) -> Plan:
    # Half a token is what rounding takes.
    lost = 2 * (max(width, height) - max(resized)) > grid.unit
    return replace(_of_boxes(width, height, grid, resized, boxes, lost=lost), overview_resample=grid.resample)


def _of_boxes(
    width: int, height: int, grid: Grid, resized: tuple[int, int], boxes: tuple[Box, ...], *, lost: bool
) -> Plan:
    """A plan of tiles that each have the tokens of their size; `lost` is whether the picture lost detail."""
    return Plan(
        width=width,
        height=height,
        resized=resized,
        tile_boxes=boxes,
        columns=sum(top == 0 for _, top, _, _ in boxes),
        tile_tokens=tuple((r - x) * (b - y) // grid.unit**2 for x, y, r, b in boxes),
        scale=max(resized) / max(width, height) if lost else 1.0,
        resample=grid.resample,
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
        return *_enlarged(width, height, (across, down), grid, budget), False
    long, short = max(width, height), min(width, height)
    # No picture that fits is longer than a single row of full tiles, so the search starts there.
    longest = min(max(across, down) - 1, grid.max_tiles * (grid.tile // grid.unit))
    for units in range(longest, 0, -1):
        other = min(units, _nearest(short * units, long))
        across, down = (units, other) if width >= height else (other, units)
        if _fits(across, down, grid, budget):
            break
    return across, down, True


def _enlarged(width: int, height: int, sides: tuple[int, int], grid: Grid, budget: int | None) -> tuple[int, int]:
    """The sides in visual tokens of a picture that has as many as the grid wants at least, or as many as fit.

    The long side grows by whole tokens and the short one follows in proportion, as where a picture shrinks.
    """
    long, short = max(width, height), min(width, height)
    units = max(sides)
    while sides[0] * sides[1] < grid.min_tokens:
        units += 1
        other = min(units, _nearest(short * units, long))
        larger = (units, other) if width >= height else (other, units)
        if not _fits(*larger, grid, budget):
            break
        sides = larger
    return sides


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


def scale_note(planned: Plan, budget: int | None) -> str | None:
    """What is said of a picture that had to be scaled down; None where it had not."""
    if planned.scale >= 1:
        return None
    why = "the most tiles" if budget is None else f"the most tiles or the budget of {budget} tokens"
    return (
        f"scaled down from {planned.width} x {planned.height} px to "
        f"{planned.resized[0]} x {planned.resized[1]} px for {why}"
    )
