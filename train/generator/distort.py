"""What cameras, scanners and messengers do to a picture; boxes move along with it.

The cheap happens often, the costly rarely. The geometry comes first, so that questions about places are asked of
the picture as it is shown.
"""

import io
import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Rgb, shade
from magicvl.train.samples.sample import Box

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
"""Where the corners of a picture end up, in px: top left, top right, bottom right, bottom left."""
_GRAIN = 512
"""Side in px of the noise that is drawn once and then taken in pieces."""


@dataclass(frozen=True)
class Camera:
    """How likely a picture is to be changed in each way, from 0 to 1."""

    photograph: float = 0.0
    """Laid on a ground, seen at an angle, with a shadow."""
    light: float = 0.25
    """Brightness and contrast."""
    blur: float = 0.08
    noise: float = 0.2
    jpeg: float = 0.12
    ground: Rgb | None = None
    """What a photographed page lies on; any colour where it is None."""


SCREEN = Camera(photograph=0.02, light=0.1, blur=0.02, noise=0.05, jpeg=0.12)
"""A screenshot, sent on by a messenger at most; now and then a photograph of the screen."""
PAPER = Camera(photograph=0.12)
"""Something printed, most often scanned."""
PHOTO = Camera(photograph=1.0)


@dataclass(frozen=True)
class Shot:
    """A finished picture and where everything is in it."""

    picture: Image.Image
    """RGB."""
    boxes: tuple[Box, ...]
    """Of the page, in its order."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.picture.size


def shoot(rng: random.Random, page: Page, camera: Camera = PAPER) -> Shot:
    """The page as the camera gives it. Everything on the page stays in the picture."""
    shot = Shot(page.picture, tuple(page.boxes))
    seen = rng.random() < camera.photograph
    if seen:
        shot = photographed(rng, shot, camera.ground)
    picture = shot.picture
    # A photograph is a little soft and uneven already; with all of it small print could not be read.
    if not seen and rng.random() < camera.blur:
        picture = picture.filter(ImageFilter.BoxBlur(rng.uniform(0.2, 0.6)))
    if rng.random() < camera.light:
        picture = _lit(rng, picture)
    if rng.random() < camera.noise:
        picture = _grained(rng, picture, rng.uniform(0.15, 0.5 if seen else 1))
    if rng.random() < camera.jpeg:
        picture = _compressed(picture, rng.randint(30, 92))
    return replace(shot, picture=picture)


def photographed(rng: random.Random, shot: Shot, ground: Rgb | None = None) -> Shot:
    """The picture laid on a ground, seen a little from the side, turned by a few degrees, in uneven light."""
    width, height = shot.size
    margin = rng.uniform(0.02, 0.1)
    size = (round(width * (1 + 2 * margin)), round(height * (1 + 2 * margin)))
    laid = warped(shot, _corners(rng, size, margin), size, ground or _ground(rng))
    return replace(laid, picture=_shadowed(rng, laid.picture))


def warped(shot: Shot, corners: Quad, size: tuple[int, int], ground: Rgb) -> Shot:
    """The picture in perspective, its corners at the given ones in a picture of that size."""
    there = projection(shot.size, corners)
    back = np.linalg.inv(there)
    coefficients = (back / back[2, 2]).ravel()[:8].tolist()
    picture = shot.picture.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=ground
    )
    return Shot(picture, tuple(project(box, there, size) for box in shot.boxes))


def projection(size: tuple[int, int], corners: Quad) -> np.ndarray:
    """The matrix, (3, 3), that takes the corners of a picture of that size in px to the given ones."""
    width, height = size
    rows, values = [], []
    for (x, y), (to_x, to_y) in zip(((0, 0), (width, 0), (width, height), (0, height)), corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -to_x * x, -to_x * y], [0, 0, 0, x, y, 1, -to_y * x, -to_y * y]]
        values += [to_x, to_y]
    solved = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
    return np.append(solved, 1.0).reshape(3, 3)


def project(box: Box, matrix: np.ndarray, size: tuple[int, int]) -> Box:
    """The upright box around a box that was seen in perspective, inside a picture of that size."""
    corners = np.array([(x, y, 1.0) for x in (box.left, box.right) for y in (box.top, box.bottom)]) @ matrix.T
    xs, ys = (np.clip(corners[:, axis] / corners[:, 2], 0, size[axis]) for axis in (0, 1))
    return replace(box, left=float(xs.min()), right=float(xs.max()), top=float(ys.min()), bottom=float(ys.max()))


def _corners(rng: random.Random, size: tuple[int, int], margin: float) -> Quad:
    """Corners that lie within the picture: turned by a few degrees, then each a little aside."""
    width, height = size
    inner = margin / (1 + 2 * margin)
    turn = rng.uniform(-1, 1) * min(0.06, 1.2 * inner * min(size) / max(size))
    points: list[Point] = []
    for right, low in ((0, 0), (1, 0), (1, 1), (0, 1)):
        x, y = (inner + side * (1 - 2 * inner) + rng.uniform(-0.5, 0.5) * inner for side in (right, low))
        across = (x - 0.5) * width - turn * (y - 0.5) * height + width / 2
        down = (y - 0.5) * height + turn * (x - 0.5) * width + height / 2
        points.append((min(max(across, 0), width), min(max(down, 0), height)))
    return points[0], points[1], points[2], points[3]


def _ground(rng: random.Random) -> Rgb:
    return shade(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.15, 0.85))


def _shadowed(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Light from one side."""
    darkest = rng.uniform(0.55, 0.9)
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).point(
        [round(255 * (darkest + (1 - darkest) * level / 255)) for level in range(256)]
    )  # fmt: skip
    return ImageChops.multiply(picture, ramp.resize(picture.size).convert("RGB"))


def _lit(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Another brightness and contrast, in one look-up."""
    contrast, brightness = rng.uniform(0.65, 1.15), rng.uniform(0.8, 1.15)
    levels = [round(min(255, max(0, ((level - 128) * contrast + 128) * brightness))) for level in range(256)]
    return picture.point(levels * 3)


def _grained(rng: random.Random, picture: Image.Image, strength: float) -> Image.Image:
    width, height = picture.size
    start = (rng.randrange(_GRAIN // 2), rng.randrange(_GRAIN // 2))
    grain = _noise().crop((*start, start[0] + min(width, _GRAIN // 2), start[1] + min(height, _GRAIN // 2)))
    if grain.size != picture.size:
        grain = _tiled(grain, picture.size)
    noisy = ImageChops.add(picture, grain, 1, -128)
    return noisy if strength >= 1 else Image.blend(picture, noisy, strength)


def _tiled(grain: Image.Image, size: tuple[int, int]) -> Image.Image:
    whole = Image.new("RGB", size)
    for left in range(0, size[0], grain.width):
        for top in range(0, size[1], grain.height):
            whole.paste(grain, (left, top))
    return whole


@cache
def _noise() -> Image.Image:
    """Grey and coloured grain around 128, RGB."""
    random_state = np.random.default_rng(1)
    grey, coloured = (random_state.normal(0, 14, (_GRAIN, _GRAIN, channels)) for channels in (1, 3))
    return Image.fromarray(np.clip(128 + grey + coloured / 2, 0, 255).astype(np.uint8))


def _compressed(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
