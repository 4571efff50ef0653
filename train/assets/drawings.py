"""From a drawing's file to its sprite: rendered, its ground taken away, cropped to what can be seen."""

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image, ImageDraw, ImageFont

from magicvl.train.assets.pack import SIDE
from magicvl.train.assets.sources import Found
from magicvl.train.nano.scenes import COLOURS

_RENDERED = 512
"""Px that an SVG is rendered in: drawings often fill but a part of their page."""
_EMOJI_PX = 109
"""The one size that the font's pictures have."""
_WHITE = 24
"""How far from white the ground of a JPEG may be, of 255."""
_LEAST = 32
"""Px of the longer side of what can be seen, or it is too little to be a drawing."""


def draw(found: Found) -> Image.Image | None:
    """The drawing as RGBA, cropped, at most SIDE px; None where it can't be rendered or hardly anything is seen."""
    try:
        picture = _opened(found)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    seen = picture.getchannel("A").point([0] * 24 + [255] * 232).getbbox()
    if seen is None or max(seen[2] - seen[0], seen[3] - seen[1]) < _LEAST:
        return None
    picture = picture.crop(seen)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture if min(picture.size) >= 12 and _fills(picture) else None


def _opened(found: Found) -> Image.Image:
    if found.character is not None:
        return _emoji(found.file, found.character)
    if found.file.suffix == ".svg":
        # Without a resolution, sizes in points are none.
        data = resvg_py.svg_to_bytes(svg_path=str(found.file), width=_RENDERED, dpi=96.0, skip_system_fonts=True)
        return Image.open(io.BytesIO(data)).convert("RGBA")
    with Image.open(found.file) as picture:
        return _cut_out(picture.convert("RGB")) if picture.format == "JPEG" else picture.convert("RGBA")


def _emoji(font: Path, character: str) -> Image.Image:
    picture = Image.new("RGBA", (160, 160))
    face = ImageFont.truetype(font, _EMOJI_PX)
    ImageDraw.Draw(picture).text((10, 10), character, font=face, embedded_color=True)
    return picture


def _cut_out(picture: Image.Image) -> Image.Image:
    """The white that reaches the edge becomes clear."""
    framed = Image.new("RGB", (picture.width + 2, picture.height + 2), "white")
    framed.paste(picture, (1, 1))
    ImageDraw.floodfill(framed, (0, 0), (255, 0, 255), thresh=_WHITE * 3)
    ground = (np.asarray(framed) == (255, 0, 255)).all(axis=2)[1:-1, 1:-1]
    cut = picture.convert("RGBA")
    # Half of what is lost to the edge's blur comes back when it is made smaller.
    cut.putalpha(Image.fromarray(np.where(ground, 0, 255).astype(np.uint8)))
    return cut


def _fills(picture: Image.Image) -> bool:
    """Whether enough of its box is drawn, and not in one flat colour from edge to edge."""
    pixels = np.asarray(picture)
    solid = pixels[..., 3] > 100
    return float(solid.mean()) > 0.05 and float(pixels[solid][:, :3].std()) > 6


def style_of(found: Found, picture: Image.Image) -> str:
    """photo or drawing: a photograph has many colours, none of them often."""
    if found.file.suffix == ".svg" or found.set in ("emoji", "flashcards"):
        return "drawing"
    pixels = np.asarray(picture)
    seen = pixels[pixels[..., 3] > 200][:, :3]
    if len(seen) < 64:
        return "drawing"
    _, counts = np.unique(seen >> 2, axis=0, return_counts=True)
    # The share of the sixteen most frequent colours of 64 steps each.
    return "photo" if np.sort(counts)[-16:].sum() / len(seen) < 0.25 else "drawing"


def mean_colour(picture: Image.Image) -> tuple[int, int, int]:
    """The mean of what can be seen."""
    pixels = np.asarray(picture.resize((24, 24), Image.Resampling.BOX), np.float64)
    weight = pixels[..., 3:].sum() or 1.0
    red, green, blue = (pixels[..., :3] * pixels[..., 3:]).sum(axis=(0, 1)) / weight
    return round(red), round(green), round(blue)


_CERTAIN = 0.72
"""Share of a drawing that must be of one colour for it to be called that."""


def colour_of(picture: Image.Image) -> str | None:
    """The colour that nearly all of a drawing has, by hue, strength and lightness; None where there is no such one."""
    pixels = np.asarray(picture.resize((32, 32), Image.Resampling.BOX))
    seen = pixels[pixels[..., 3] > 128][:, :3]
    names = [_colour_name(int(red), int(green), int(blue)) for red, green, blue in seen]
    # Outlines say nothing about a colour, unless all is dark.
    said = [name for name in names if name != "black"] if names.count("black") < 0.5 * len(names) else names
    best = max(COLOURS, key=said.count)
    return best if said and said.count(best) >= _CERTAIN * len(said) else None


def _colour_name(red: int, green: int, blue: int) -> str | None:
    """The name that people agree on; None between names."""
    most, least = max(red, green, blue), min(red, green, blue)
    strength = (most - least) / most if most else 0.0
    if most < 50:
        return "black"
    if strength < 0.12:
        return "white" if most > 225 else "grey" if 80 < most < 190 else None
    if strength < 0.3:
        return None
    hue = math.degrees(math.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    return _by_hue(hue, strength, most)


# Hues in degrees, least strength, least and most lightness of 255.
_HUES = (
    ("red", (0, 10), 0.6, 110, 255),
    ("red", (345, 360), 0.6, 110, 255),
    ("brown", (14, 42), 0.3, 50, 164),
    ("orange", (19, 42), 0.65, 216, 255),
    ("yellow", (46, 64), 0.45, 191, 255),
    ("green", (80, 160), 0.3, 50, 255),
    ("blue", (195, 250), 0.3, 50, 255),
    ("purple", (262, 295), 0.3, 50, 255),
    ("pink", (310, 345), 0.3, 191, 255),
)


def _by_hue(hue: float, strength: float, most: int) -> str | None:
    fitting = (
        name
        for name, (start, end), least, dark, light in _HUES
        if start <= hue < end and strength >= least and dark <= most <= light
    )
    return next(fitting, None)


Fingerprint = npt.NDArray[np.bool_]


def fingerprint(picture: Image.Image) -> Fingerprint:
    """128 bits by which two sizes or shades of one drawing are nearly alike: what grows from px to px."""
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("L")
    across = np.asarray(flat.resize((9, 8), Image.Resampling.BOX), np.int16)
    down = np.asarray(flat.resize((8, 9), Image.Resampling.BOX), np.int16)
    return np.concatenate([(np.diff(across, axis=1) > 2).ravel(), (np.diff(down, axis=0) > 2).ravel()])
