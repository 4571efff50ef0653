"""A contact sheet: pictures with what is asked and answered about them, to be looked at."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from magicvl.edge.files import whole_file
from magicvl.edge.pixels import open_picture
from magicvl.train.samples.sample import Sample

WIDTH = 320
"""Px of a sample on the sheet."""
HEIGHT = 320
"""Px of its pictures, at most."""
LONGEST = 3
"""How many times its width a picture is high, at most; of others the beginning is shown."""
MARGIN = 12
LINES = 7
"""Of the words below, at most."""
SIZE = 13
"""Px of the words."""
MOST_TEXT = 2_000
"""Characters that are shown of a text, at most ..."""
MOST_WORD = 120
"""... and in a line."""

_BOX = re.compile(r"\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]")


def write_sheet(samples: Sequence[Sample], path: Path, columns: int = 5) -> None:
    """Draws some samples into a PNG; boxes that are answers are drawn into their pictures. Raises PictureError."""
    cells = [_cell(sample) for sample in samples]
    columns = max(1, min(columns, len(cells)))
    rows = [cells[begin : begin + columns] for begin in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + MARGIN for row in rows]
    sheet = Image.new("RGB", (columns * (WIDTH + MARGIN) + MARGIN, sum(heights) + MARGIN), "#e8e8e8")
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (MARGIN + column * (WIDTH + MARGIN), top))
        top += height
    with whole_file(path) as partial:
        sheet.save(partial, "PNG")


def _cell(sample: Sample) -> Image.Image:
    """Pictures side by side, and the words below."""
    pictures = _pictures(sample)
    lines = _lines(sample)
    head = max((picture.height for picture in pictures), default=0)
    step = SIZE + 4
    cell = Image.new("RGB", (WIDTH, head + len(lines) * step + 8), "white")
    left = 0
    for picture in pictures:
        cell.paste(picture, (left, 0))
        left += picture.width + 2
    draw = ImageDraw.Draw(cell)
    for number, (text, colour) in enumerate(lines):
        draw.text((4, head + 4 + number * step), text, colour, _font())
    return cell


def _pictures(sample: Sample) -> list[Image.Image]:
    room = WIDTH // max(1, len(sample.pictures))
    shown = []
    for number, source in enumerate(sample.pictures):
        picture = open_picture(source)
        if number == 0:
            _draw_boxes(picture, " ".join(turn.answer for turn in sample.turns))
        if picture.height > LONGEST * picture.width:
            # Of a long screenshot the beginning: as a whole it would be a thread.
            picture = picture.crop((0, 0, picture.width, LONGEST * picture.width))
        picture.thumbnail((room - 2 * (len(sample.pictures) > 1), HEIGHT), Image.Resampling.LANCZOS)
        shown.append(picture)
    return shown


def _draw_boxes(picture: Image.Image, answer: str) -> None:
    """The boxes that an answer names, in thousandths of the picture's sides."""
    draw = ImageDraw.Draw(picture)
    width = max(2, min(picture.size) // 100)
    for found in _BOX.finditer(answer):
        left, top, right, bottom = (int(side) for side in found.groups())
        across, down = (picture.width - 1) / 1000, (picture.height - 1) / 1000
        if left <= right <= 1000 and top <= bottom <= 1000:
            draw.rectangle((left * across, top * down, right * across, bottom * down), outline="#ff00c0", width=width)


def _lines(sample: Sample) -> list[tuple[str, str]]:
    """The words of a cell, line by line, with their colours."""
    lines = [(text, "#707070") for text in _wrapped(f"{sample.source} ({sample.category})")[:1]]
    for turn in sample.turns:
        lines += [(text, "#0040a0") for text in _wrapped(turn.prompt)]
        lines += [(text, "#006020") for text in _wrapped(turn.answer or "(no answer)")]
    if len(lines) > LINES + 1:
        lines = [*lines[:LINES], ("...", "#707070")]
    return lines


def _wrapped(text: str) -> list[str]:
    """A text in lines that are as wide as a cell; long words are cut."""
    lines = [""]
    for word in (piece for part in text[:MOST_TEXT].split() for piece in _pieces(part)):
        longer = f"{lines[-1]} {word}".strip()
        if _fits(longer):
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def _pieces(word: str) -> Iterator[str]:
    while word:
        end = next((end for end in range(min(len(word), MOST_WORD), 1, -1) if _fits(word[:end])), 1)
        yield word[:end]
        word = word[end:]


def _fits(text: str) -> bool:
    return _font().getlength(text) <= WIDTH - 8


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", SIZE)
