"""One line of print on a ground of one colour: what the simplest datasets show."""

import random

from magicvl.train.generator.dataset import Split
from magicvl.train.generator.distort import PAPER, Camera, Shot, shoot
from magicvl.train.generator.faces import ALL_LATIN, Style, pick_face
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Rgb, ink_on, shade

LEAST = (64, 32)
"""Width and height in px of the smallest picture."""


def single(
    rng: random.Random,
    split: Split,
    text: str,
    styles: tuple[Style, ...] = ALL_LATIN,
    largest: int = 56,
    camera: Camera = PAPER,
) -> Shot:
    """The line, 14 px to the largest size, somewhere in a picture that is a little larger."""
    font = pick_face(rng, split, styles).at(rng.triangular(14, largest, 20))
    left, top, right, bottom = font.ink(text)
    width = max(LEAST[0], round((right - left) * rng.uniform(1.05, 1.4)) + 8)
    height = max(LEAST[1], round((bottom - top) * rng.uniform(1.15, 2.2)) + 6)
    ground = plain_ground(rng)
    page = Page(width, height, ground)
    x = rng.uniform(3, width - (right - left) - 3) - left
    y = rng.uniform(2, height - (bottom - top) - 2) - top
    page.write(x, y, text, font, ink_on(rng, ground), "ls")
    return shoot(rng, page, camera)


def plain_ground(rng: random.Random) -> Rgb:
    """Paper most often, else any colour."""
    if rng.random() < 0.55:
        return shade(rng.random(), rng.uniform(0, 0.4), rng.uniform(0.88, 1))
    return shade(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.9))
