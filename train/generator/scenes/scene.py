"""A scene: objects on a ground, drawn, with the box of each."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from magicvl.train.generator.dataset import Drawn, Split
from magicvl.train.generator.scenes.backdrop import Backdrop, Ground, draw_backdrop
from magicvl.train.generator.scenes.kinds import Kind, Look
from magicvl.train.generator.scenes.places import Layout, Px, arrange, place_of
from magicvl.train.samples.sample import Box, Turn

LEAST = 36
"""Px of the longer side that every object has at least; a patch of the encoder is 16 px wide."""
_SOLID = 48
"""Alpha from which a px counts as drawn."""


_RATIOS: dict[Layout, tuple[float, ...]] = {
    "free": (1.0, 4 / 3, 3 / 2, 16 / 9, 2.0, 2.6),
    "cells": (1.0, 4 / 3, 3 / 2, 16 / 9),
    "row": (1.5, 2.0, 2.6),
    "column": (1.5, 2.0, 2.6),
}
"""Longer side by the shorter one."""


@dataclass(frozen=True)
class Seen:
    """An object in a picture."""

    kind: Kind
    box: Px
    """What of it can be seen, in px."""
    colour: str | None
    """What colour it may be said to have, if it has one."""

    @property
    def extent(self) -> int:
        """Its longer side in px."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def as_box(self) -> Box:
        """With its name, as samples have it."""
        left, top, right, bottom = map(float, self.box)
        return Box(self.kind.noun, left, top, right, bottom)

    @property
    def middle(self) -> tuple[float, float]:
        """x, y in px."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Scene:
    """A drawn picture and the truth about it."""

    picture: Image.Image
    """RGB."""
    objects: tuple[Seen, ...]
    """In the order in which they were asked for."""
    ground: str | None
    """Colour of the ground, if it has one."""

    def place(self, seen: Seen) -> str:
        """What an object's place is called."""
        return place_of(seen.box, self.picture.size)

    def drawn(self, *turns: Turn) -> Drawn:
        """The picture with what is said about it."""
        return Drawn((self.picture,), turns, tuple(seen.as_box() for seen in self.objects))


@dataclass(frozen=True)
class Plan:
    """How a dataset's pictures look."""

    grounds: tuple[Ground, ...] = ("plain", "plain", "textured")
    layout: Layout = "free"
    largest: float = 0.9
    """Longer side of the largest object, of the room that each has."""
    smallest: float = 0.5
    """Of the smallest one."""
    overlap: float = 0.0
    """Most that two objects share, of the smaller one's area."""
    sides: tuple[int, ...] = field(default=(128, 160, 192, 224, 256, 320))
    """Longer sides of pictures in px, before a little is added or taken; crowded ones get more."""
    turned: float = 0.3
    """Share of objects that are turned by up to 12 degrees."""


def compose(
    rng: random.Random, split: Split, looks: Sequence[Look], plan: Plan, shares: Sequence[float] | None = None
) -> Scene:
    """Draws the looks into one picture; `shares` gives each object's side as a share of its room, else they vary."""
    size = _picture_size(rng, len(looks), plan)
    shares = shares or [rng.uniform(plan.smallest, plan.largest) for _ in looks]
    scale = 1.0
    while True:
        room = scale * _room(size, len(looks), plan.layout)
        if room * min(shares) < LEAST:
            # They don't fit even small: a larger picture holds them.
            size, scale = (round(size[0] * 1.25), round(size[1] * 1.25)), 1.0
            continue
        sprites = [_posed(rng, look, round(room * share), plan) for look, share in zip(looks, shares, strict=True)]
        boxes = arrange(rng, [sprite.size for sprite in sprites], size, plan.layout, plan.overlap)
        if boxes is not None:
            return _pasted(_ground(rng, split, size, looks, plan), looks, sprites, boxes)
        scale *= 0.85


def _picture_size(rng: random.Random, count: int, plan: Plan) -> tuple[int, int]:
    """Width and height in px, 96 at least; one in fourteen is large."""
    side = rng.choice(plan.sides) if rng.random() < 0.93 else rng.randint(400, 1200)
    longer = max(96.0, side * rng.uniform(0.85, 1.15), 60 * math.sqrt(count))
    ratio = rng.choice(_RATIOS[plan.layout])
    shorter = max(96.0, longer / ratio)
    upright = plan.layout == "column" or (plan.layout != "row" and rng.random() < 0.5)
    size = round(min(longer, 1200)), round(shorter)
    return size[::-1] if upright else size


def _room(size: tuple[int, int], count: int, layout: Layout) -> float:
    """The longer side in px that an object can have."""
    if layout == "cells":
        return min(size) / 3
    if layout == "free":
        return min(math.sqrt(size[0] * size[1] / count) * (0.95 if count == 1 else 0.75), *size)
    along, across = (size[0], size[1]) if layout == "row" else (size[1], size[0])
    return min(along / count, across)


def _posed(rng: random.Random, look: Look, side: int, plan: Plan) -> Image.Image:
    """A sprite as it will stand: perhaps flipped, perhaps a little turned, cropped to what can be seen."""
    sprite = look.sprite(side)
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < plan.turned:
        sprite = sprite.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, expand=True)
    return _cropped(sprite)


def _cropped(sprite: Image.Image) -> Image.Image:
    solid = np.asarray(sprite.getchannel("A")) >= _SOLID
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not rows.size:
        return sprite
    return sprite.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _ground(rng: random.Random, split: Split, size: tuple[int, int], looks: Sequence[Look], plan: Plan) -> Backdrop:
    means, named = [look.mean for look in looks], [look.kind.colour for look in looks if look.kind.colour]
    return draw_backdrop(rng, split, size, rng.choice(plan.grounds), means, named)


def _pasted(ground: Backdrop, looks: Sequence[Look], sprites: Sequence[Image.Image], boxes: list[Px]) -> Scene:
    for sprite, box in zip(sprites, boxes, strict=True):
        ground.picture.paste(sprite, box[:2], sprite)
    objects = tuple(Seen(look.kind, box, look.colour) for look, box in zip(looks, boxes, strict=True))
    return Scene(ground.picture, objects, ground.colour)
