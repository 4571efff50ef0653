"""Kinds of objects that a scene can hold: the names of the pack, and coloured shapes."""

import math
import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw

from magicvl.train.assets.catalogue import Thing
from magicvl.train.assets.pack import Pack, installed_pack
from magicvl.train.generator.dataset import Split
from magicvl.train.nano.drawing import OUTLINES
from magicvl.train.nano.scenes import COLOURS, SHAPES

Rgb = tuple[int, int, int]
# A nurse is a woman, wears a cap and has a nose.
_CLASHING = frozenset(
    {("person", "person"), ("person", "clothing"), ("person", "body"), ("animal", "body"), ("body", "body")}
)
_OVER = 3
"""Supersampling of shapes."""


@dataclass(frozen=True)
class Kind:
    """What can be in a picture, once or several times."""

    noun: str
    plural: str
    article: str
    """a or an; empty for what is always plural."""
    others: tuple[str, ...] = ()
    """Other right names."""
    kin: frozenset[str] = frozenset()
    """Nouns that could be said of it too, or of which it could be said."""
    group: str = "shape"
    """animal, artifact, food, ...; shape for a coloured shape."""
    countable: bool = True
    colour: str | None = None
    """Of a shape; a drawing's colour is its own."""
    shape: str | None = None

    @property
    def one(self) -> str:
        """With its article, if it takes one: a dog, an apple, scissors, bread."""
        return f"{self.article} {self.noun}" if self.countable else self.noun

    def clashes(self, other: "Kind") -> bool:
        """Whether something could be taken for both, or one is worn by or part of the other."""
        if self.noun == other.noun or other.noun in self.kin or self.noun in other.kin:
            return True
        return (self.group, other.group) in _CLASHING or (other.group, self.group) in _CLASHING


@dataclass(frozen=True)
class Look:
    """One drawing of a kind, before it is sized."""

    kind: Kind
    mean: Rgb
    """Its mean colour."""
    colour: str | None
    """What colour it may be said to have, if it has one."""
    thing: Thing | None = None
    """None for a shape."""

    def sprite(self, side: int) -> Image.Image:
        """RGBA, its longer side `side` px."""
        if self.thing is not None:
            return installed_pack().sprite(self.thing, side)
        return _draw_shape(str(self.kind.shape), self.mean, side)


@cache
def shape_kinds() -> tuple[Kind, ...]:
    """Every colour of every shape."""
    return tuple(
        Kind(
            f"{colour} {shape}", f"{colour} {shape}{'es' if shape.endswith('s') else 's'}",
            "an" if colour[0] in "aeiou" else "a", kin=frozenset({shape}), colour=colour, shape=shape,
        )
        for colour in COLOURS for shape in SHAPES
    )  # fmt: skip


def named_kinds(split: Split) -> tuple[Kind, ...]:
    """Every name that the split has drawings of. Raises SampleError where there is no pack."""
    return _named_kinds(installed_pack(), split)


def countable_kinds(split: Split) -> tuple[Kind, ...]:
    """Those that have a number."""
    return _countable_kinds(installed_pack(), split)


def kind_of(word: str) -> Kind:
    """The kind of a name in the pack."""
    return _kind_of(installed_pack(), word)


@cache
def _named_kinds(pack: Pack, split: Split) -> tuple[Kind, ...]:
    return tuple(_kind_of(pack, name) for name in pack.things(split))


@cache
def _countable_kinds(pack: Pack, split: Split) -> tuple[Kind, ...]:
    return tuple(kind for kind in _named_kinds(pack, split) if kind.countable and kind.article)


@cache
def _kind_of(pack: Pack, word: str) -> Kind:
    name = pack.names[word]
    return Kind(name.name, name.plural, name.article, name.others, frozenset(name.kin), name.group, name.countable)


def choose_kinds(rng: random.Random, pool: tuple[Kind, ...], count: int, beside: Collection[Kind] = ()) -> list[Kind]:
    """So many kinds of which no two clash, neither with those that are there already."""
    chosen: list[Kind] = []
    for _ in range(40 * count):
        kind = rng.choice(pool)
        if not any(kind.clashes(other) for other in (*chosen, *beside)):
            chosen.append(kind)
            if len(chosen) == count:
                break
    return chosen


def choose_look(rng: random.Random, kind: Kind, split: Split) -> Look:
    """One of the split's drawings of a kind; a shape in a shade of its colour."""
    if kind.colour is not None:
        mean = _shade(rng, COLOURS[kind.colour], 12)
        return Look(kind, mean, kind.colour)
    thing = rng.choice(installed_pack().things(split)[kind.noun])
    return Look(kind, thing.mean, thing.colour, thing)


def _shade(rng: random.Random, colour: Rgb, spread: int) -> Rgb:
    red, green, blue = (min(255, max(0, channel + rng.randint(-spread, spread))) for channel in colour)
    return red, green, blue


@cache
def _mask(shape: str, side: int) -> Image.Image:
    """A shape's outline as an L picture, filled to its edges."""
    full = side * _OVER
    mask = Image.new("L", (full, full))
    pen = ImageDraw.Draw(mask)
    if shape == "circle":
        pen.ellipse((0, 0, full - 1, full - 1), fill=255)
    elif shape == "ring":
        pen.ellipse((0, 0, full - 1, full - 1), outline=255, width=max(3, round(full * 0.19)))
    else:
        points = [((x + 1) / 2 * (full - 1), (y + 1) / 2 * (full - 1)) for x, y in OUTLINES[shape]]
        pen.polygon(points, fill=255)
    return mask.reduce(_OVER)


def _draw_shape(shape: str, colour: Rgb, side: int) -> Image.Image:
    # Sizes in steps: few masks are kept.
    step = max(8, math.ceil(side / 8) * 8)
    picture = Image.new("RGBA", (step, step), (*colour, 0))
    picture.putalpha(_mask(shape, step))
    return picture if step == side else picture.resize((side, side), Image.Resampling.BILINEAR)
