"""A contact sheet: the frames that were looked at, in order, each with its time and where subjects were seen."""

from collections.abc import Sequence
from math import ceil, isqrt
from typing import Final, NamedTuple

from PIL import Image, ImageColor, ImageDraw

from magicvl.edge.draw import label
from magicvl.edge.plan import Box
from magicvl.edge.video.description import Subject, time_text
from magicvl.edge.video.film import Frame
from magicvl.edge.video.track import Sighting

WIDTH: Final = 240
"""Px of a frame on the sheet; its height follows the film's shape."""
HEIGHTS: Final = (60, 480)
"""Lowest and highest px of a frame on the sheet."""
GAP: Final = 4
LEAST_COLUMNS: Final = 4
LEAST_MARK: Final = 24
"""Px across of the box around a subject."""
HUE: Final = 137
"""Degrees from one subject's colour to the next: no two of eight are near one another."""


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

    def draw(self, subjects: Sequence[Subject] = ()) -> Image.Image:
        """The frames in rows, RGB; there is one at least. Where a subject has a track, a box says where it is."""
        columns = min(len(self._cells), max(LEAST_COLUMNS, isqrt(len(self._cells) - 1) + 1))
        high = max(cell.picture.height for cell in self._cells)
        size = columns * (WIDTH + GAP) + GAP, ceil(len(self._cells) / columns) * (high + GAP) + GAP
        sheet, layer = Image.new("RGB", size, "white"), Image.new("RGBA", size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(layer)
        for number, (when, picture) in enumerate(self._cells):
            row, column = divmod(number, columns)
            left, top = GAP + column * (WIDTH + GAP), GAP + row * (high + GAP)
            sheet.paste(picture, (left, top))
            box = left, top, left + picture.width, top + picture.height
            for which, subject in enumerate(subjects):
                for sighting in subject.track:
                    if sighting.time == when:
                        _mark(pen, box, sighting, subject.name, which)
            label(pen, box, f"{time_text(when)} s")
        return Image.alpha_composite(sheet.convert("RGBA"), layer).convert("RGB")


def _mark(pen: ImageDraw.ImageDraw, frame: Box, sighting: Sighting, name: str, which: int) -> None:
    """A box around a subject, in a colour of its own, with its name in it."""
    left, top, right, bottom = frame
    half = max(LEAST_MARK, sighting.size * min(right - left, bottom - top)) / 2
    x, y = left + sighting.x * (right - left), top + sighting.y * (bottom - top)
    begin = max(left, round(x - half)), max(top, round(y - half))
    box = *begin, min(right, round(x + half)), min(bottom, round(y + half))
    pen.rectangle(box, outline="black", width=3)
    pen.rectangle(box, outline=ImageColor.getrgb(f"hsv({HUE * which % 360},80%,100%)"), width=2)
    label(pen, box, name)
