"""What actors stand on: calm plain and textured grounds, or photographs."""

import random
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageDraw

from magicvl.train.clips.motion import Rgb
from magicvl.train.generator.scenes.backdrop import TEXTURES

BEYOND = 0.45
"""Of a frame's sides: how far the world goes on beyond each edge of the first frame."""
SCATTERED = "scattered"
"""The texture that shows how a camera moves."""
_ACROSS = 7
"""Its marks along the shorter side of a world."""


class Ground(Protocol):
    """Something that films are played on."""

    @property
    def beyond(self) -> float:
        """How far it goes on beyond each edge of the first frame, as a share of the frame's sides."""

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """The ground of width x height px: RGB, the same for the same size."""


@dataclass(frozen=True)
class Textured:
    """One of nano's backgrounds in two shades of a colour."""

    texture: str
    """A key of TEXTURES, or SCATTERED."""
    first: Rgb
    second: Rgb
    seed: int
    """Of everything random in the drawing."""
    beyond: float = BEYOND

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """The ground."""
        paint = _scattered if self.texture == SCATTERED else TEXTURES[self.texture]
        return paint(random.Random(self.seed), self.first, self.second, size)


def _scattered(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    """Round marks of many sizes, wherever one looks."""
    picture = Image.new("RGB", size, first)
    pen, step = ImageDraw.Draw(picture), max(8, min(size) // _ACROSS)
    for top in range(0, size[1], step):
        for left in range(0, size[0], step):
            x, y, radius = left + rng.uniform(0, step), top + rng.uniform(0, step), rng.uniform(0.12, 0.34) * step
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=second)
    return picture
