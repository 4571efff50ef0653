"""Draws a scene with Pillow, at twice the size and then reduced, so that edges are as soft as a photograph's."""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from magicvl.train.fonts import font, nano_faces
from magicvl.train.nano.scenes import COLOURS, Print, Scene, Shape

Rgb = tuple[int, int, int]
_OVER = 2
"""Supersampling."""


@dataclass(frozen=True)
class Glyph:
    """One printed character and its centre in px."""

    character: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A picture, and where everything in it ended up."""

    picture: Image.Image
    """RGB."""
    owners: Image.Image
    """As large, mode L: 0 the background, i the i-th shape, then the prints."""
    centres: tuple[tuple[float, float], ...]
    """Where each shape's middle is: x, y in px."""
    glyphs: tuple[Glyph, ...]
    radii: tuple[float, ...]
    """Half of the side of each shape's box before it is turned, in px."""


def draw_scene(scene: Scene) -> Image.Image:
    """The RGB picture of a scene, the same for the same scene."""
    return draw(scene).picture


def draw(scene: Scene) -> Drawing:
    """The picture of a scene and its truth in pixels, the same for the same scene."""
    rng = random.Random(scene.seed)
    size = (scene.width * _OVER, scene.height * _OVER)
    picture = _background(rng, scene, size)
    canvas = ImageDraw.Draw(picture)
    owners = Image.new("L", size)
    owned = ImageDraw.Draw(owners)
    spots = [_draw_shape(rng, canvas, owned, number, shape, size) for number, shape in enumerate(scene.shapes, start=1)]
    glyphs = [
        glyph
        for number, printed in enumerate(scene.prints, start=len(scene.shapes) + 1)
        for glyph in _draw_print(rng, canvas, owned, scene, number, printed, size)
    ]
    owners = owners.resize((scene.width, scene.height), Image.Resampling.NEAREST)
    centres, radii = tuple((x, y) for x, y, _ in spots), tuple(radius for _, _, radius in spots)
    return Drawing(_camera(rng, picture.reduce(_OVER)), owners, centres, tuple(glyphs), radii)


def _shade(rng: random.Random, colour: str, spread: int) -> Rgb:
    red, green, blue = (min(255, max(0, channel + rng.randint(-spread, spread))) for channel in COLOURS[colour])
    return red, green, blue


def _background(rng: random.Random, scene: Scene, size: tuple[int, int]) -> Image.Image:
    first, second = _shade(rng, scene.background, 10), _shade(rng, scene.background, 22)
    picture = Image.new("RGB", size, first)
    canvas = ImageDraw.Draw(picture)
    width, height = size
    step = max(6, round(min(size) * rng.uniform(0.05, 0.2)))
    if scene.texture == "gradient":
        mask = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
        picture.paste(Image.new("RGB", size, second), (0, 0), mask)
    elif scene.texture == "noise":
        noise = np.random.default_rng(rng.getrandbits(32)).integers(-18, 19, (height // _OVER, width // _OVER, 1))
        grain = np.clip(np.asarray(first) + noise, 0, 255).astype(np.uint8)
        picture = Image.fromarray(grain).resize(size, Image.Resampling.NEAREST)
    elif scene.texture == "stripes":
        across = rng.random() < 0.5
        for start in range(0, width if across else height, 2 * step):
            box = (start, 0, start + step, height) if across else (0, start, width, start + step)
            canvas.rectangle(box, fill=second)
    elif scene.texture == "blotches":
        for _ in range(rng.randint(2, 6)):
            x, y, radius = rng.randrange(width), rng.randrange(height), rng.randint(step, 3 * step)
            canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_shade(rng, scene.background, 16))
    elif scene.texture == "checks":
        for row, top in enumerate(range(0, height, step)):
            for left in range(step * (row % 2), width, 2 * step):
                canvas.rectangle((left, top, left + step - 1, top + step - 1), fill=second)
    elif scene.texture == "dots":
        for top in range(0, height, 2 * step):
            for left in range(0, width, 2 * step):
                canvas.ellipse((left, top, left + step, top + step), fill=second)
    return picture


def _draw_shape(
    rng: random.Random,
    canvas: ImageDraw.ImageDraw,
    owned: ImageDraw.ImageDraw,
    number: int,
    shape: Shape,
    size: tuple[int, int],
) -> tuple[float, float, float]:
    """Draws it and returns its middle and its radius in px of the finished picture."""
    cell_width, cell_height = size[0] / 3, size[1] / 3
    small = min(size) < 64 * _OVER
    room = min(size) if small else min(cell_width, cell_height)
    radius = min(room, 150 * _OVER) * shape.size / 2
    x = (shape.cell % 3 + 0.5) * cell_width + rng.uniform(-1, 1) * max(0.0, cell_width / 2 - radius) * 0.8
    y = (shape.cell // 3 + 0.5) * cell_height + rng.uniform(-1, 1) * max(0.0, cell_height / 2 - radius) * 0.8
    if small:
        x, y = size[0] / 2, size[1] / 2
    fill = _shade(rng, shape.colour, 12)
    turn = math.radians(rng.uniform(-12, 12))
    for pen, ink in ((canvas, fill), (owned, number)):
        paint_shape(pen, shape.kind, (x, y), radius, turn, ink)
    return x / _OVER, y / _OVER, radius / _OVER


def paint_shape(
    pen: ImageDraw.ImageDraw, kind: str, middle: tuple[float, float], radius: float, turn: float, ink: Rgb | int
) -> None:
    """Fills a shape of SHAPES whose box is 2 `radius` px wide before it is turned, by `turn` radians clockwise."""
    x, y = middle
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "circle":
        pen.ellipse(box, fill=ink)
    elif kind == "ring":
        pen.ellipse(box, outline=ink, width=max(3, round(radius * 0.38)))
    else:
        pen.polygon(_turned(OUTLINES[kind], turn, x, y, radius), fill=ink)


def _turned(
    outline: list[tuple[float, float]], turn: float, x: float, y: float, radius: float
) -> list[tuple[float, float]]:
    cosine, sine = math.cos(turn), math.sin(turn)
    return [(x + radius * (px * cosine - py * sine), y + radius * (px * sine + py * cosine)) for px, py in outline]


def _star(points: int, inner: float) -> list[tuple[float, float]]:
    angles = (math.pi * i / points - math.pi / 2 for i in range(2 * points))
    return [
        (math.cos(angle) * (inner if i % 2 else 1), math.sin(angle) * (inner if i % 2 else 1))
        for i, angle in enumerate(angles)
    ]


def _heart() -> list[tuple[float, float]]:
    angles = [math.tau * i / 48 for i in range(48)]
    return [
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in angles
    ]


_ARM = 0.34
# Outlines in a box from -1 to 1, y downwards.
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -0.95), (0.95, 0.8), (-0.95, 0.8)],
    "diamond": [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)],
    "star": _star(5, 0.42),
    "heart": _heart(),
    "cross": [
        (-_ARM, -0.95), (_ARM, -0.95), (_ARM, -_ARM), (0.95, -_ARM), (0.95, _ARM), (_ARM, _ARM),
        (_ARM, 0.95), (-_ARM, 0.95), (-_ARM, _ARM), (-0.95, _ARM), (-0.95, -_ARM), (-_ARM, -_ARM),
    ],
}  # fmt: skip


def _draw_print(
    rng: random.Random,
    canvas: ImageDraw.ImageDraw,
    owned: ImageDraw.ImageDraw,
    scene: Scene,
    number: int,
    printed: Print,
    size: tuple[int, int],
) -> tuple[Glyph, ...]:
    """Prints on one line; alone it may stand anywhere, else it keeps to its row of cells."""
    width, height = size
    shared = scene.shapes or len(scene.prints) > 1
    top, room = (printed.row * height / 3, height / 3) if shared else (0.0, float(height))
    face = rng.choice(nano_faces(scene.held_out))
    tallest = min(room * 0.8, 130 * _OVER)
    # Digits are a little over half as wide as the font is high.
    least = min(round(1.8 * printed.character * _OVER), round(room))
    points = max(least, round(tallest * rng.uniform(0.45, 1.0)))
    left, upper, right, lower = canvas.textbbox((0, 0), printed.text, font=font(face, points))
    widest = width * 0.92
    if right - left > widest:
        points = max(8, int(points * widest / (right - left)))
        left, upper, right, lower = canvas.textbbox((0, 0), printed.text, font=font(face, points))
    x = rng.uniform(0.03, 0.97) * (width - (right - left)) - left
    y = top + rng.uniform(0.05, 0.95) * max(0.0, room - (lower - upper)) - upper
    set_in = font(face, points)
    canvas.text((x, y), printed.text, font=set_in, fill=_shade(rng, printed.colour, 12))
    owned.rectangle((x + left, y + upper, x + right, y + lower), fill=number)
    starts = [set_in.getlength(printed.text[:i]) for i in range(len(printed.text) + 1)]
    middle = (y + (upper + lower) / 2) / _OVER
    return tuple(
        Glyph(character, (x + (starts[i] + starts[i + 1]) / 2) / _OVER, middle)
        for i, character in enumerate(printed.text)
    )


def _camera(rng: random.Random, picture: Image.Image) -> Image.Image:
    """What a camera adds now and then: a little blur, a little grain."""
    if rng.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7)))
    if rng.random() < 0.2:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 6), (*picture.size[::-1], 1))
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    return picture
