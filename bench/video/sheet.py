"""Examples as a picture: the frames that were seen with their times, the truth, and what each arm thought and said.

What was said and is true is green, what was said and is not true brown, what is true and was not said red.
"""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from magicvl.bench.accuracy.sheet import INK, LINE, RIGHT, WRONG, Font, text_font
from magicvl.bench.video.examples import Example, film_value
from magicvl.bench.video.measures import Measure
from magicvl.bench.video.part import Told
from magicvl.bench.video.score import Scored
from magicvl.edge.draw import save_png
from magicvl.edge.video.description import Action, Subject, time_text
from magicvl.train.clips.strips import FRAMES, draw_strip

COLUMN = 380
"""Px of a column of text."""
CHARACTERS = 54
"""Of a line in it."""
GAP = 16
MOST_LINES = 60
"""Of a column."""
FALSE, FAINT = (150, 90, 0), (110, 110, 110)
Line = tuple[str, tuple[int, int, int]]
BLANK: Line = ("", INK)


def write_sheet(examples: Sequence[Example], path: Path, *, force: bool = False) -> None:
    """Writes the sheet as PNG. Raises UsageError, MagicVLError where it cannot."""
    save_png(draw_sheet(examples), path, force=force)


def draw_sheet(examples: Sequence[Example]) -> Image.Image:
    """One example below the other, RGB."""
    rows = [_draw(each, text_font()) for each in examples]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _draw(example: Example, font: Font) -> Image.Image:
    measures = [each for each in example.measures if len(each.columns) == 2] or list(example.measures[:1])
    columns = [list(_truth(example.scored[0][1].told))]
    columns += [list(_said(name, scored, measures)) for name, scored in example.scored]
    shown = [column[:MOST_LINES] for column in columns]
    strips = list(_strips(example))
    top = GAP + LINE // 2 + sum(strip.height for strip in strips)
    width = max(GAP + len(columns) * (COLUMN + GAP), *(2 * GAP + strip.width for strip in strips))
    row = Image.new("RGB", (width, top + 2 * GAP + LINE * max(map(len, shown))), "white")
    for number, strip in enumerate(strips):
        row.paste(strip, (GAP, GAP + sum(each.height for each in strips[:number])))
    pen = ImageDraw.Draw(row)
    for number, column in enumerate(shown):
        for place, (text, colour) in enumerate(column):
            pen.text((GAP + number * (COLUMN + GAP), top + LINE * place), text, colour, font=font)
    pen.line((0, row.height - 1, width, row.height - 1), FAINT)
    return row


def _strips(example: Example) -> Iterator[Image.Image]:
    """The frames with their times, so many a row; the film's name below the last."""
    for first in range(0, len(example.frames), FRAMES):
        part = example.frames[first : first + FRAMES]
        last = first + FRAMES >= len(example.frames)
        name = [(example.scored[0][1].item.id, "#6e6e6e")] if last else []
        yield draw_strip([picture for _, picture in part], [seconds for seconds, _ in part], name)


def _truth(told: Told) -> Iterator[Line]:
    yield "truth", FAINT
    yield from _thought(told.reference.subjects)
    yield BLANK
    yield from _wrapped(told.reference.caption, INK)


def _said(name: str, scored: Scored, measures: Sequence[Measure]) -> Iterator[Line]:
    yield from _wrapped(f"{name}: {_numbers(scored, measures)}", FAINT)
    if scored.told.description is None:
        yield from _wrapped(f"no description: {scored.told.text or 'not brought to an end'}", FALSE)
    else:
        yield from _thought(scored.told.description.subjects)
        yield BLANK
        yield from _wrapped(scored.told.caption, INK)
    yield BLANK
    for verdict in scored.verdicts:
        if verdict.said or not verdict.right:
            word = ("right" if verdict.right else "wrong") if verdict.said else "missed"
            colour = (RIGHT if verdict.right else FALSE) if verdict.said else WRONG
            yield from _wrapped(f"{word}: {verdict.text}", colour, indent="  ")


def _numbers(scored: Scored, measures: Sequence[Measure]) -> str:
    known = [(measure.name, film_value(measure, scored)) for measure in measures]
    return ", ".join(f"{name} {value:.0%}" for name, value in known if value is not None)


def _thought(subjects: Sequence[Subject]) -> Iterator[Line]:
    """The think part: a line a subject, then each of its actions with its times."""
    for subject in subjects:
        yield from _wrapped(f"• {' '.join((*subject.attributes, subject.name))}", INK)
        for action in subject.actions:
            yield from _wrapped(f"{action.action} ({_span(action)})", INK, indent="    ")


def _span(action: Action) -> str:
    first, last = time_text(action.times[0]), time_text(action.times[-1])
    return f"{first} s" if first == last else f"{first} to {last} s"


def _wrapped(text: str, colour: tuple[int, int, int], indent: str = "") -> list[Line]:
    lines = textwrap.wrap(text, CHARACTERS, initial_indent=indent, subsequent_indent=f"{indent}  ")
    return [(line, colour) for line in lines]
