"""How actors are drawn: coloured shapes, walls, and drawings of named objects."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from PIL import Image, ImageDraw

from magicvl.train.clips.motion import Pose, Rgb
from magicvl.train.nano.drawing import paint_shape


class Look(Protocol):
    """Something that can be drawn."""

    def paint(self, canvas: Image.Image, pose: Pose) -> None:
        """Draws it at a pose whose place and size are px of the canvas."""


@dataclass(frozen=True)
class ShapeLook:
    """A shape in the colour of its pose."""

    kind: str
    """One of SHAPES."""

    def paint(self, canvas: Image.Image, pose: Pose) -> None:
        """Draws it."""
        pen = ImageDraw.Draw(canvas)
        paint_shape(pen, self.kind, (pose.x, pose.y), pose.size, math.radians(pose.turn), pose.colour)


@dataclass(frozen=True)
class WallLook:
    """A wall of bricks."""

    wide: float
    """Its width by its height."""

    def paint(self, canvas: Image.Image, pose: Pose) -> None:
        """Draws it; its size is half its height."""
        pen = ImageDraw.Draw(canvas)
        half = self.wide * pose.size
        left, top, right, bottom = pose.x - half, pose.y - pose.size, pose.x + half, pose.y + pose.size
        pen.rectangle((left, top, right, bottom), fill=pose.colour)
        joint = _joint(pose.colour)
        line = max(1, round(pose.size / 24))
        rows = 8
        step = (bottom - top) / rows
        for row in range(rows):
            y = top + row * step
            if row:
                pen.line((left, y, right, y), fill=joint, width=line)
            for brick in range(1, 4):
                x = left + (brick - 0.5 * (row % 2)) * (right - left) / 3
                if x < right - line:
                    pen.line((x, y, x, y + step), fill=joint, width=line)


@dataclass(frozen=True, eq=False)
class ThingLook:
    """A drawing of a named object."""

    load: Callable[[int], Image.Image]
    """Gives it as RGBA with a longer side of so many px."""
    flipped: bool
    largest: int
    """Px of its longer side that it is ever drawn with."""

    def paint(self, canvas: Image.Image, pose: Pose) -> None:
        """Draws it."""
        sprite = self.sprite
        scale = 2 * pose.size / max(sprite.size)
        size = max(1, round(sprite.width * scale)), max(1, round(sprite.height * scale))
        if size != sprite.size:
            sprite = sprite.resize(size, Image.Resampling.BILINEAR)
        if pose.turn % 360:
            sprite = sprite.rotate(-pose.turn, Image.Resampling.BILINEAR, expand=True)
        canvas.paste(sprite, (round(pose.x - sprite.width / 2), round(pose.y - sprite.height / 2)), sprite)

    @cached_property
    def sprite(self) -> Image.Image:
        """The drawing at its largest."""
        sprite = self.load(self.largest)
        return sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.flipped else sprite


def _joint(colour: Rgb) -> Rgb:
    """What stands between bricks: darker, or lighter where they are dark."""
    change = -34 if sum(colour) > 240 else 40
    red, green, blue = (min(255, max(0, channel + change)) for channel in colour)
    return red, green, blue
