"""A contact sheet: the frames that were looked at, in order, each with its time."""

from math import ceil, isqrt
from typing import Final, NamedTuple

from PIL import Image, ImageDraw

from magicvl.edge.draw import label
from magicvl.edge.video.description import time_text
from magicvl.edge.video.film import Frame

WIDTH: Final = 240
"""Px of a frame on the sheet; its height follows the film's shape."""
HEIGHTS: Final = (60, 480)
"""Lowest and highest px of a frame on the sheet."""
GAP: Final = 4
LEAST_COLUMNS: Final = 4


class _Cell(NamedTuple):
    time: float
    picture: Image.Image


class Sheet:
    """Frames that are shown to it, each kept small at once."""

    def __init__(self) -> None:
        self._cells: list[_Cell] = []

    def add(self, frame: Frame) -> None:
        """Takes a frame in."""
        width, height = frame.picture.size
        size = WIDTH, min(HEIGHTS[1], max(HEIGHTS[0], round(WIDTH * height / width)))
        small = frame.picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        self._cells.append(_Cell(frame.time, small))

    def draw(self) -> Image.Image:
        """The frames in rows, RGB; there is one at least."""
        columns = min(len(self._cells), max(LEAST_COLUMNS, isqrt(len(self._cells) - 1) + 1))
        high = max(cell.picture.height for cell in self._cells)
        size = columns * (WIDTH + GAP) + GAP, ceil(len(self._cells) / columns) * (high + GAP) + GAP
        sheet, layer = Image.new("RGB", size, "white"), Image.new("RGBA", size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(layer)
        for number, (when, picture) in enumerate(self._cells):
            row, column = divmod(number, columns)
            left, top = GAP + column * (WIDTH + GAP), GAP + row * (high + GAP)
            sheet.paste(picture, (left, top))
            label(pen, (left, top, left + picture.width, top + picture.height), f"{time_text(when)} s")
        return Image.alpha_composite(sheet.convert("RGBA"), layer).convert("RGB")
