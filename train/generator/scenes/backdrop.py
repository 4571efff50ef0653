"""What objects stand on: plain colours, gradients, textures, photographs."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from magicvl.train.assets.pack import installed_pack
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.scenes.kinds import Rgb
from magicvl.train.nano.scenes import COLOURS, HELD_OUT_BACKGROUNDS, TRAINING_BACKGROUNDS, too_close

Ground = Literal["plain", "textured", "photo"]
_APART = 75.0
"""Least distance of an object's mean colour from a plain ground, of 442 between black and white."""


@dataclass(frozen=True)
class Backdrop:
    """A drawn ground."""

    picture: Image.Image
    """RGB."""
    colour: str | None
    """What colour it is called; None for a photograph."""


def draw_backdrop(
    rng: random.Random, split: Split, size: tuple[int, int], ground: Ground, means: Sequence[Rgb], named: Sequence[str]
) -> Backdrop:
    """A ground of width x height px on which objects of those mean colours and colour names can be told."""
    if ground == "photo":
        return Backdrop(_photograph(rng, split, size), None)
    colour = _colour(rng, means, named)
    textures = TRAINING_BACKGROUNDS if split in ("train", "validation") else HELD_OUT_BACKGROUNDS
    texture = rng.choice(("plain", "gradient") if ground == "plain" else textures)
    return Backdrop(TEXTURES[texture](rng, _shaded(rng, colour, 10), _shaded(rng, colour, 22), size), colour)


def _colour(rng: random.Random, means: Sequence[Rgb], named: Sequence[str]) -> str:
    """A colour that no object is named after, and far from what they look like; the farthest where none is."""
    free = [colour for colour in COLOURS if not any(colour in too_close(name) for name in named)] or list(COLOURS)
    rng.shuffle(free)
    apart = {colour: min((math.dist(COLOURS[colour], mean) for mean in means), default=_APART) for colour in free}
    return next((colour for colour in free if apart[colour] >= _APART), max(free, key=lambda colour: apart[colour]))


def _shaded(rng: random.Random, colour: str, spread: int) -> Rgb:
    red, green, blue = (min(255, max(0, channel + rng.randint(-spread, spread))) for channel in COLOURS[colour])
    return red, green, blue


def _photograph(rng: random.Random, split: Split, size: tuple[int, int]) -> Image.Image:
    pack = installed_pack()
    whole = pack.backdrop(rng.choice(pack.backdrops[split in ("train", "validation")]))
    # The largest part of the picture's shape, or down to half of that.
    scale = min(whole.width / size[0], whole.height / size[1]) * rng.uniform(0.5, 1.0)
    width, height = size[0] * scale, size[1] * scale
    left, top = rng.uniform(0, whole.width - width), rng.uniform(0, whole.height - height)
    box = (left, top, left + width, top + height)
    part = whole.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def _mixed(share: npt.NDArray[np.float32], first: Rgb, second: Rgb) -> Image.Image:
    """Two colours by the share of the second at each px: (height, width) in 0 to 1."""
    start, step = np.asarray(first, np.float32), np.subtract(second, first).astype(np.float32)
    return Image.fromarray((start + share[..., None] * step).astype(np.uint8))


def _plain(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size, first)


def _gradient(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    # Few px, then enlarged: a gradient has no detail.
    y, x = np.mgrid[0:24, 0:24].astype(np.float32) / 23
    if rng.random() < 0.3:
        share = np.hypot(x - rng.random(), y - rng.random()) / 1.5
    else:
        angle = rng.uniform(0, math.tau)
        share = (x * math.cos(angle) + y * math.sin(angle)) / 2.9 + 0.5
    return _mixed(share.clip(0, 1), first, second).resize(size, Image.Resampling.BILINEAR)


def _noise(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    grain = rng.choice((1, 2, 3))
    width, height = -(-size[0] // grain), -(-size[1] // grain)
    share = np.random.default_rng(rng.getrandbits(32)).random((height, width), np.float32)
    lighter = tuple(min(255, channel + 24) for channel in first)
    picture = _mixed(share, first, (lighter[0], lighter[1], lighter[2]))
    return picture.resize((width * grain, height * grain), Image.Resampling.NEAREST).crop((0, 0, *size))


def _stripes(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    angle, step = rng.uniform(0, math.tau), _step(rng, size)
    across = np.arange(size[0], dtype=np.float32) * (math.cos(angle) / step)
    down = np.arange(size[1], dtype=np.float32) * (math.sin(angle) / step)
    return _two(np.floor(across + down[:, None]) % 2 == 0, first, second)


def _blotches(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, first)
    pen, step = ImageDraw.Draw(picture), _step(rng, size)
    for _ in range(rng.randint(3, 9)):
        x, y, radius = rng.randrange(size[0]), rng.randrange(size[1]), rng.randint(step, 3 * step)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=second)
    return picture


def _checks(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    step = _step(rng, size)
    across, down = np.arange(size[0]) // step, np.arange(size[1]) // step
    return _two((across + down[:, None]) % 2 == 0, first, second)


def _dots(rng: random.Random, first: Rgb, second: Rgb, size: tuple[int, int]) -> Image.Image:
    step = 2 * _step(rng, size)
    across, down = np.arange(size[0]) % step - step / 2, np.arange(size[1]) % step - step / 2
    return _two(across**2 + down[:, None] ** 2 < (step / 4) ** 2, first, second)


def _two(where: npt.NDArray[np.bool_], first: Rgb, second: Rgb) -> Image.Image:
    """`second` where it is true: (height, width)."""
    picture = Image.new("RGB", (where.shape[1], where.shape[0]), first)
    picture.paste(second, (0, 0), Image.fromarray(where))
    return picture


def _step(rng: random.Random, size: tuple[int, int]) -> int:
    return max(5, round(min(size) * rng.uniform(0.04, 0.16)))


TEXTURES = {
    "plain": _plain,
    "gradient": _gradient,
    "noise": _noise,
    "stripes": _stripes,
    "blotches": _blotches,
    "checks": _checks,
    "dots": _dots,
}
"""What paints a ground: from the random state, its colour, a second one, and width and height in px."""
