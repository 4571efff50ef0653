"""Who can act: shapes, walls and named objects, with what their bodies are like."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from magicvl.train.clips.looks import Look, ShapeLook, ThingLook, WallLook
from magicvl.train.clips.motion import Rgb
from magicvl.train.generator.scenes import kinds
from magicvl.train.nano.drawing import OUTLINES
from magicvl.train.nano.scenes import COLOURS

Point = tuple[float, float]
WALL = "wall"
_DIRECTIONS: tuple[Point, ...] = tuple(
    (math.cos(math.tau * step / 32), math.sin(math.tau * step / 32)) for step in range(32)
)
_ROUND = ("circle", "ring")
COVERS = {"circle": 1.0, "square": 0.85}
"""Shapes that nothing is seen behind, up to a circle of this radius by their size."""
_SOLID = 128
"""Alpha from which something is hidden behind a px."""
_SIDE = 48
"""Px at which a drawing is looked at."""
_ENLARGED = 1.9
"""How much larger than at the beginning it is drawn at most."""
_TURNS = (45, 60, 90, 180)
_LEAST_CHANGE = 24.0
"""Mean change of a px, of 255, by which a turned drawing differs from itself."""


@dataclass(frozen=True, eq=False)
class Actor:
    """One that is in a film."""

    noun: str
    article: str
    """a or an, of the noun."""
    attributes: tuple[str, ...]
    """Size where it differs, then colour where it has one."""
    named: bool
    """Whether the noun alone tells it from everyone else in the film."""
    look: Look
    size: float
    """Px from its middle to the end of its longer side, at the beginning."""
    reach: float
    """Radius of the circle that holds it however it is turned, by its size."""
    cover: float
    """Radius of the circle that nothing is seen behind, by its size."""
    hull: tuple[Point, ...]
    """Its outermost points, x and y by its size, y downwards."""
    spins: bool
    """Whether one sees it turn."""
    rgb: Rgb
    """How it is painted, or its mean colour."""
    colour: str | None = None
    """Of shapes and walls: they are called by it."""
    wide: float = 1.0
    """Of a wall: its width by its height."""

    @property
    def wall(self) -> bool:
        """Whether it is a wall, which does nothing."""
        return self.noun == WALL

    @property
    def paintable(self) -> bool:
        """Whether it can turn another colour and is still known by its noun."""
        return isinstance(self.look, ShapeLook) and self.named

    @property
    def short(self) -> str:
        """The circle."""
        return f"the {self.noun}"

    @property
    def called(self) -> str:
        """The red circle: what tells it from everyone else."""
        return f"the {self.colour} {self.noun}" if self.colour and not self.wall else self.short

    @property
    def one(self) -> str:
        """A large red circle: as it is first spoken of."""
        article = ("an" if self.attributes[0][0] in "aeiou" else "a") if self.attributes else self.article
        return " ".join((article, *self.attributes, self.noun))

    def extent(self, size: float, turn: float, x: float, y: float) -> float:
        """Px from its middle to its end in a direction of length 1, at a size in px, turned by degrees clockwise."""
        cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        x, y = x * cosine + y * sine, y * cosine - x * sine
        return size * max(px * x + py * y for px, py in self.hull)


def shape_actor(kind: str, colour: str, rgb: Rgb, size: float, sizes: tuple[str, ...], *, named: bool) -> Actor:
    """A shape; `sizes` is what its size is called, if anything."""
    outline = tuple(OUTLINES.get(kind, _DIRECTIONS))
    return Actor(
        noun=kind, article="a", attributes=(*sizes, colour), named=named, look=ShapeLook(kind), size=size,
        reach=max(math.hypot(x, y) for x, y in outline), cover=COVERS.get(kind, 0.0), spins=kind not in _ROUND,
        rgb=rgb, hull=outline, colour=colour,
    )  # fmt: skip


def wall_actor(colour: str, size: float, wide: float) -> Actor:
    """A wall of 2 `size` px in height."""
    return Actor(
        noun=WALL, article="a", attributes=(colour,), named=True, look=WallLook(wide), size=size,
        reach=math.hypot(1, wide), cover=0.0, spins=False, rgb=COLOURS[colour], colour=colour, wide=wide,
        hull=((-wide, -1), (wide, -1), (wide, 1), (-wide, 1)),
    )  # fmt: skip


def thing_actor(look: kinds.Look, size: float, sizes: tuple[str, ...], *, flipped: bool) -> Actor:
    """A drawing of a named object."""
    body = body_of(look)
    hull = tuple((-x, y) for x, y in body.hull) if flipped else body.hull
    attributes = (*sizes, look.colour) if look.colour else sizes
    return Actor(
        noun=look.kind.noun, article=look.kind.article, attributes=attributes, named=True,
        look=ThingLook(look.sprite, flipped, round(2 * size * _ENLARGED)), size=size,
        reach=body.reach, cover=body.cover, hull=hull, spins=body.spins, rgb=look.mean,
    )  # fmt: skip


@dataclass(frozen=True)
class Body:
    """What can be said of a drawing by its px."""

    reach: float
    """As an actor's."""
    cover: float
    """As an actor's."""
    hull: tuple[Point, ...]
    spins: bool
    fills: float
    """Share that it covers of a square around it."""


@cache
def body_of(look: kinds.Look) -> Body:
    """Looks at a drawing, as small as it is ever drawn."""
    sprite = look.sprite(_SIDE)
    square = Image.new("RGBA", (_SIDE, _SIDE))
    square.paste(sprite, ((_SIDE - sprite.width) // 2, (_SIDE - sprite.height) // 2))
    alpha = np.asarray(square)[..., 3]
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] - (_SIDE - 1) / 2
    far = np.hypot(x, y) / (_SIDE / 2)
    drawn = alpha >= _SOLID // 4
    return Body(
        reach=float(far[drawn].max(initial=0.5)),
        cover=float(far[alpha < _SOLID].min(initial=1.0)),
        hull=_hull(x[drawn] / (_SIDE / 2), y[drawn] / (_SIDE / 2)),
        spins=all(_changed(square, turn) for turn in _TURNS),
        fills=float(drawn.mean()),
    )


def _hull(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[Point, ...]:
    """The px that lie farthest in some directions."""
    farthest = {int(np.argmax(x * dx + y * dy)) for dx, dy in _DIRECTIONS} if x.size else set()
    return tuple((float(x[each]), float(y[each])) for each in sorted(farthest)) or _DIRECTIONS


def _changed(square: Image.Image, turn: int) -> bool:
    """Whether a drawing looks otherwise when it is turned."""
    ground = Image.new("RGBA", square.size, (128, 128, 128, 255))
    one, other = (np.asarray(Image.alpha_composite(ground, each)) for each in (square, square.rotate(turn)))
    drawn = (np.asarray(square)[..., 3] >= _SOLID // 4).mean()
    return bool(np.abs(one.astype(int) - other).mean() * 4 / 3 / max(drawn, 0.05) >= _LEAST_CHANGE)
