"""Film strips: a row of frames with their times, and what is true of the film below; many of them on one sheet."""

import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from magicvl.edge.files import whole_file
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import time_text
from magicvl.train.clips.clip import Clip

FRAMES = 8
"""Of a film that are shown."""
SIDE = 144
"""Px of a frame on the sheet, at most."""
_GAP = 4
_SIZE = 13
_LINE = 17
_COLUMNS = 150
"""Characters in a line of words."""

Line = tuple[str, str]
"""Words and their colour."""


def draw_strip(pictures: Sequence[Image.Image], times: Sequence[float], lines: Sequence[Line]) -> Image.Image:
    """A strip of frames (at least one) with their times, and lines of words below. Long lines are wrapped."""
    shown = [_thumbnail(picture) for picture in pictures]
    words = [(part, colour) for text, colour in lines for part in textwrap.wrap(text, _COLUMNS)]
    high = max(picture.height for picture in shown)
    width = len(shown) * (SIDE + _GAP) + _GAP
    strip = Image.new("RGB", (width, high + 2 * _GAP + _LINE * (len(words) + 1)), "white")
    pen = ImageDraw.Draw(strip)
    for number, (picture, seconds) in enumerate(zip(shown, times, strict=True)):
        left = _GAP + number * (SIDE + _GAP)
        strip.paste(picture, (left, _GAP))
        pen.text((left, _GAP + high), f"{time_text(seconds)} s", "#707070", _font())
    for number, (text, colour) in enumerate(words, start=1):
        pen.text((_GAP, 2 * _GAP + high + number * _LINE), text, colour, _font())
    return strip


def truth_lines(clip: Clip) -> list[Line]:
    """A clip's name, its caption, who is in it, and its events with their times."""
    who = "; ".join(" ".join((*subject.attributes, subject.name)) for subject in clip.subjects)
    events = "; ".join(f"{event.begin:g}-{event.end:g} s {event.text}" for event in clip.events)
    return [(clip.id, "#707070"), (clip.caption, "#0040a0"), (f"{who} | {events}", "#006020")]


def write_sheet(clips: Sequence[Clip], path: Path, frames: int = FRAMES) -> None:
    """Draws some clips (at least one) into a PNG, one below the other. Raises OSError."""
    strips = []
    for clip in clips:
        times = uniform_times(clip.seconds, frames)
        strips.append(draw_strip([clip.picture(seconds) for seconds in times], times, truth_lines(clip)))
    heights = [strip.height + 2 * _GAP for strip in strips]
    sheet = Image.new("RGB", (max(strip.width for strip in strips), sum(heights)), "#c8c8c8")
    for number, strip in enumerate(strips):
        sheet.paste(strip, (0, sum(heights[:number])))
    with whole_file(path) as partial:
        sheet.save(partial, "PNG")


def _thumbnail(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_SIZE)
