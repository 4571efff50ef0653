"""From a picture file to the tiles a model sees: uint8 RGB, cut by the plan.

Training and the phone both come through here, so preprocessing exists once.
"""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from magicvl.edge.plan import Plan
from magicvl.errors import PictureError

Pixels = npt.NDArray[np.uint8]
PictureSource = str | os.PathLike[str] | bytes | Image.Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PIXELS = 2**27
"""Most pixels of a picture that is decoded: 134 million, 400 MB as RGB."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that make rows of columns."""


@dataclass(frozen=True)
class Header:
    """A picture as its header has it, upright."""

    width: int
    """In px."""
    height: int
    """In px."""
    kind: str | None = None
    """Pillow's name of its format, None where it is not known."""


def open_picture(source: PictureSource, name: str | None = None) -> Image.Image:
    """Reads a picture as upright RGB: EXIF rotation applied, alpha flattened on white, first frame only.

    Takes a path, the bytes of a file, or a Pillow image. The header is checked before any pixel is
    decoded. Raises PictureError with one line that names the picture: by `name`, else by its path.
    """
    if isinstance(source, Image.Image):
        _check_size(source, name or "picture")
        return _upright_rgb(source, name or "picture")
    name = name or ("picture" if isinstance(source, bytes) else os.fspath(source))
    with open_header(source, name) as picture:
        return _upright_rgb(picture, name)


@contextmanager
def open_header(source: str | os.PathLike[str] | bytes, name: str) -> Iterator[Image.Image]:
    """A picture's file whose header was checked; no pixel is decoded yet. Raises PictureError that calls it `name`."""
    with _open(source, name) as picture:
        _check_size(picture, name)
        yield picture


def check_header(source: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height in px that a picture's header claims, before rotation; no pixel is decoded.

    Raises PictureError where `open_picture` would for the header alone.
    """
    with open_header(source, os.fspath(source)) as picture:
        return picture.width, picture.height


def read_header(source: str | os.PathLike[str]) -> Header:
    """What a picture's header says; no pixel is decoded. Raises PictureError where `open_picture` would for it."""
    name = os.fspath(source)
    with open_header(source, name) as picture:
        turned = False
        # What is wrong with them is said when the picture is opened.
        with suppress(OSError, SyntaxError, ValueError, EOFError):
            turned = picture.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        width, height = picture.size
        return Header(height, width, picture.format) if turned else Header(width, height, picture.format)


def cut(picture: Image.Image, plan: Plan) -> list[Pixels]:
    """Resizes an upright RGB picture by the plan and cuts it: arrays (height, width, 3), in the plan's order.

    The filters are Pillow's, which widen their support when they shrink (antialiasing). nanoVLM's overview is the
    one that differs from its reference: theirs is never rounded to 8 bits, which is up to half a step of 255.
    """
    resized = resize(picture, plan)
    pixels = np.asarray(resized, dtype=np.uint8)
    tiles = [np.ascontiguousarray(pixels[top:bottom, left:right]) for left, top, right, bottom in plan.tile_boxes]
    if plan.overview is not None:
        tiles[plan.overview] = np.asarray(overview(picture, resized, plan), dtype=np.uint8)
    return tiles


def resize(picture: Image.Image, plan: Plan) -> Image.Image:
    """The picture as the plan's tiles cover it. Raises PictureError where it is not the plan's."""
    if picture.size != (plan.width, plan.height):
        raise PictureError(f"a picture of {picture.size} px does not belong to a plan of {plan.width} x {plan.height}")
    for size in (*plan.steps, plan.resized):
        picture = _resampled(picture, size, plan.resample)
    return picture


def overview(picture: Image.Image, resized: Image.Image, plan: Plan) -> Image.Image:
    """The whole picture at the plan's overview size; where it has none, the resized one as one square tile."""
    if plan.overview_size is not None:
        return _resampled(picture, plan.overview_size, plan.overview_resample)
    left, _, right, _ = plan.tile_boxes[-1 if plan.overview == 0 else 0]
    return _resampled(resized, (right - left, right - left), plan.overview_resample)


def _resampled(picture: Image.Image, size: tuple[int, int], name: str) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling[name.upper()])


def _open(source: str | os.PathLike[str] | bytes, name: str) -> Image.Image:
    if not isinstance(source, bytes):
        _check_file(Path(source), name)
    try:
        with warnings.catch_warnings():
            # Pillow's own limit warns at 89 million pixels; ours below is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError(f"{name}: not a picture in a format that is read ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name}: its header claims more than {MAX_PIXELS:,} px, the most that is decoded") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"{name}: cannot be read as a picture ({error})") from None


def _check_file(path: Path, name: str) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except OSError as error:
        raise PictureError(f"{name}: it can't be read ({error.strerror})") from None
    except ValueError as error:  # a name with a null byte
        raise PictureError(f"{name!r}: no such file ({error})") from None
    if stat.S_ISDIR(found.st_mode):
        raise PictureError(f"{name}: a directory, not a picture")
    if found.st_size == 0:
        raise PictureError(f"{name}: the file is empty")


def _check_size(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise PictureError(f"{name}: {width} x {height} px is no picture")
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{name}: {width} x {height} px is more than the {MAX_PIXELS:,} px that are decoded; scale it down first"
        )


def _upright_rgb(picture: Image.Image, name: str) -> Image.Image:
    try:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PictureError(f"{name}: damaged or cut short ({error})") from None
    if upright.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255; the upper byte is the picture.
        grey = (np.asarray(upright).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return upright.convert("RGB")
