"""The plan painted over its picture: tile borders, tile numbers, the grid of visual tokens."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from magicvl.edge.files import whole_file
from magicvl.edge.pixels import overview, resize
from magicvl.edge.plan import Box, Grid, Plan
from magicvl.errors import MagicVLError, UsageError

# Each line is dark with a light core, so one of the two stands out on any picture.
_DARK, _LIGHT = (0, 0, 0, 255), (255, 255, 255, 255)
_TOKEN_DARK, _TOKEN_LIGHT = (0, 0, 0, 110), (255, 255, 255, 110)
_LABEL = (0, 0, 0, 180)
_GAP = 16
"""White px between the picture and its overview."""


def draw_plan(picture: Image.Image, plan: Plan, grid: Grid) -> Image.Image:
    """The resized picture, RGB, with the plan on it, and an overview to its right.

    `picture` is upright RGB, as `open_picture` gives it.
    """
    canvas = resize(picture, plan)
    boxes = list(plan.tile_boxes)
    if plan.overview is not None:
        beside = overview(picture, canvas, plan)
        left = canvas.width + _GAP
        boxes[plan.overview] = (left, 0, left + beside.width, beside.height)
        wide = Image.new("RGB", (left + beside.width, max(canvas.height, beside.height)), "white")
        wide.paste(canvas, (0, 0))
        wide.paste(beside, (left, 0))
        canvas = wide
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for box in boxes:
        _token_grid(pen, box, grid.unit)
    for box in boxes:
        _border(pen, box)
    for number, box in enumerate(boxes):
        label(pen, box, str(number))
    return Image.alpha_composite(canvas.convert("RGBA"), layer).convert("RGB")


def check_target(path: Path, *, force: bool) -> None:
    """Raises UsageError where a PNG may not be written to `path`."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: the drawing is a PNG, give it a name that ends in .png")
    if path.exists() and not force:
        raise UsageError(f"{path}: it is there already; --force overwrites it")


def save_png(picture: Image.Image, path: Path, *, force: bool = False) -> None:
    """Writes a PNG beside its place and renames it. Raises UsageError, MagicVLError where it cannot."""
    check_target(path, force=force)
    try:
        with whole_file(path) as partial:
            picture.save(partial, format="PNG")
    except OSError as error:
        raise MagicVLError(f"{path}: cannot be written ({error.strerror or error})") from None


def _token_grid(pen: ImageDraw.ImageDraw, box: Box, unit: int) -> None:
    left, top, right, bottom = box
    for x in range(left + unit, right, unit):
        pen.line((x - 1, top, x - 1, bottom - 1), _TOKEN_DARK)
        pen.line((x, top, x, bottom - 1), _TOKEN_LIGHT)
    for y in range(top + unit, bottom, unit):
        pen.line((left, y - 1, right - 1, y - 1), _TOKEN_DARK)
        pen.line((left, y, right - 1, y), _TOKEN_LIGHT)


def _border(pen: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    for inset, colour in ((0, _DARK), (1, _LIGHT), (2, _DARK)):
        pen.rectangle((left + inset, top + inset, right - 1 - inset, bottom - 1 - inset), outline=colour)


def label(pen: ImageDraw.ImageDraw, box: Box, text: str) -> None:
    """Words in the upper left corner of a box, on dark ground, of a size that suits it; for layers in RGBA."""
    left, top, right, bottom = box
    font = ImageFont.load_default(max(10, min(right - left, bottom - top) // 8))
    place = (left + 6, top + 4)
    x, y, to_x, to_y = pen.textbbox(place, text, font=font)
    pen.rectangle((x - 2, y - 2, to_x + 2, to_y + 2), fill=_LABEL)
    pen.text(place, text, _LIGHT, font=font)
