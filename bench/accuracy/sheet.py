"""Failures on one sheet: each picture with its question, what is right and what was answered."""

import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from magicvl.bench.accuracy.misses import SIDE, Miss
from magicvl.bench.scoring import find_boxes
from magicvl.edge.draw import save_png

COLUMNS = 4
GAP = 12
FONT_SIZE = 13
LINE = 17
CHARACTERS = 52
"""Of a line of text, in a cell of SIDE px."""
MOST_LINES = 14
INK, RIGHT, WRONG = (20, 20, 20), (0, 120, 40), (190, 20, 20)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_sheet(misses: Sequence[Miss], path: Path, *, force: bool = False) -> None:
    """Writes the sheet as PNG. Raises UsageError, MagicVLError where it cannot."""
    save_png(draw_sheet(misses), path, force=force)


def draw_sheet(misses: Sequence[Miss]) -> Image.Image:
    """The sheet, RGB; boxes of answers are drawn, the right one green."""
    cells = [_cell(miss, text_font()) for miss in misses] or [Image.new("RGB", (SIDE, LINE), "white")]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    heights = [max(cell.height for cell in row) for row in rows]
    width = GAP + min(COLUMNS, len(cells)) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, GAP + sum(height + GAP for height in heights)), "white")
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (GAP + column * (SIDE + GAP), top))
        top += height + GAP
    return sheet


def _cell(miss: Miss, font: Font) -> Image.Image:
    said = miss.scored
    texts = [
        (f"{miss.bundle}, {said.question.id}", INK),
        (said.question.prompt, INK),
        (f"right: {said.question.truth}", RIGHT),
        (f"said: {said.answer}", WRONG),
    ]
    lines = [(line, colour) for text, colour in texts for line in _wrapped(text)]
    picture = miss.picture.convert("RGB") if miss.picture is not None else Image.new("RGB", (SIDE, 1), "white")
    if said.group("metric") == "iou":
        _draw_boxes(picture, said.question.truth, said.answer)
    cell = Image.new("RGB", (SIDE, picture.height + 4 + LINE * len(lines)), "white")
    cell.paste(picture, (0, 0))
    pen = ImageDraw.Draw(cell)
    for number, (line, colour) in enumerate(lines):
        pen.text((0, picture.height + 4 + LINE * number), line, colour, font=font)
    return cell


def _wrapped(text: str) -> list[str]:
    lines = [part for line in text.splitlines() or [""] for part in textwrap.wrap(line, CHARACTERS) or [""]]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "..."]


def _draw_boxes(picture: Image.Image, truth: str, answer: str) -> None:
    pen = ImageDraw.Draw(picture)
    for boxes, colour in ((find_boxes(truth), RIGHT), (find_boxes(answer), WRONG)):
        for left, top, to_right, bottom in boxes:
            x, y = picture.width / 1000, picture.height / 1000
            pen.rectangle((left * x, top * y, to_right * x, bottom * y), outline=colour, width=2)


def text_font() -> Font:
    """DejaVu Sans, which has many scripts' letters, where matplotlib is installed."""
    spec = find_spec("matplotlib")
    if spec is not None and spec.submodule_search_locations:
        path = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, FONT_SIZE)
    return ImageFont.load_default(FONT_SIZE)
