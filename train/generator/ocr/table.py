"""Tables of numbers: small and large."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, in_words, listed, some, spoken
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import shoot
from magicvl.train.generator.faces import mate, pick_face
from magicvl.train.generator.locales import LOCALES
from magicvl.train.generator.names import people, town
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import pick_theme
from magicvl.train.generator.words import several
from magicvl.train.samples.sample import Turn

_CELL = (
    'What is the value of "{column}" for {row}?',
    'What stands in the column "{column}" in the row "{row}"?',
    "{row}, {column}: what is the number?",
)
_COLUMNS = ("List the names of the columns.", "Which columns does the table have?")
_ROWS = ("How many rows does the table have, without the header?", "How many rows are below the header?")
_LARGEST = ('Which row has the largest "{column}"?', 'Who or what has the highest value of "{column}"?')
_SMALLEST = ('Which row has the smallest "{column}"?', 'Who or what has the lowest value of "{column}"?')
_OWNER = ('Which row has {value} in the column "{column}"?', 'Who or what has {value} as "{column}"?')
_SUM = ('What is the sum of "{column}" for {row} and {other}?', 'Add "{column}" of {row} and {other}.')
_MORE = ('How much larger is "{column}" of {row} than of {other}?', 'By how much is "{column}" of {row} above {other}?')
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")
# Where a point stands between thousands, numbers with one point could be read as decimals.
_GROUPED = [locale for locale in LOCALES if locale.group != "."]


@dataclass(frozen=True)
class Table:
    """Names of rows and columns, and the cells."""

    corner: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    """Row by row; no number twice in a column."""


def table(rng: random.Random, split: Split, rows: int, columns: int) -> Table:
    """A table of so many rows and columns, the row names beside."""
    corner, names = rng.choice(
        (
            ("Name", people(rng, split, rows)),
            ("Item", tuple(one.capitalize() for one in several(rng, split, rows))),
            ("Town", tuple(dict.fromkeys(town(rng, split) for _ in range(4 * rows)))[:rows]),
        )
    )
    # Twice as many words as are needed: a column is never called as a row is.
    words = (one.capitalize() for one in several(rng, split, rows + columns))
    titles = tuple([one for one in words if one not in names][:columns])
    by_column = [rng.sample(range(rng.choice((20, 100, 1000, 20000)) + rows), len(names)) for _ in titles]
    return Table(corner, titles, names, tuple(zip(*by_column, strict=True)))


def _print(rng: random.Random, split: Split, what: Table) -> Page:
    theme, size = pick_theme(rng, 0.2), rng.choice((13, 14, 15, 16))
    face = pick_face(rng, split, ("sans", "sans", "serif", "mono"), bold=False)
    plain, bold = face.at(size), mate(face, bold=True).at(size)
    write = rng.choice(_GROUPED).number
    lines = [(what.corner, *what.columns)]
    lines += [(name, *map(write, cells)) for name, cells in zip(what.rows, what.cells, strict=True)]
    pad, margin, step = rng.randint(6, 16), rng.randint(4, 24), round(size * rng.uniform(1.7, 2.3))
    widths = [max(bold.width(line[at]) for line in lines) + 2 * pad for at in range(len(lines[0]))]
    page = Page(round(sum(widths)) + 2 * margin, step * len(lines) + 2 * margin, theme.ground)
    rules, stripes, right = rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.7
    for number, line in enumerate(lines):
        top, left = margin + number * step, float(margin)
        if number == 0 or (stripes and number % 2 == 0):
            page.bar((margin, top, page.size[0] - margin, top + step), theme.surface)
        if rules or number == 1:
            page.rule(margin, top, page.size[0] - margin, top, theme.line)
        for at, text in enumerate(line):
            x, anchor = (left + widths[at] - pad, "rm") if at and right else (left + pad, "lm")
            page.write(x, top + step / 2, text, plain if number else bold, theme.ink, anchor)
            left += widths[at]
    return page


def _turns(rng: random.Random, what: Table) -> list[Turn]:
    row, column = rng.randrange(len(what.rows)), rng.randrange(len(what.columns))
    values = [cells[column] for cells in what.cells]
    named = {"column": what.columns[column]}
    turns = [
        _cell(rng, what, row, column),
        _cell(rng, what, rng.randrange(len(what.rows)), rng.randrange(len(what.columns))),
        ask(rng, _COLUMNS, listed([what.corner, *what.columns]), "anls", "columns", [listed(what.columns)]),
        ask(rng, _ROWS, len(what.rows), task="count rows", others=[in_words(len(what.rows))]),
        ask(rng, _OWNER, what.rows[row], "anls", "row of", value=values[row], **named),
    ]
    if len(values) > 1:
        turns.append(ask(rng, _LARGEST, what.rows[values.index(max(values))], "anls", "largest", **named))
        turns.append(ask(rng, _SMALLEST, what.rows[values.index(min(values))], "anls", "smallest", **named))
    return turns


def _cell(rng: random.Random, what: Table, row: int, column: int) -> Turn:
    names = {"row": what.rows[row], "column": what.columns[column]}
    return ask(rng, _CELL, what.cells[row][column], "relaxed", "cell", **names)


def _sums(rng: random.Random, what: Table) -> list[Turn]:
    column = rng.randrange(len(what.columns))
    pair = rng.sample(range(len(what.rows)), 2)
    high, low = sorted(pair, key=lambda row: -what.cells[row][column])
    more, less = what.cells[high][column], what.cells[low][column]
    names = {"column": what.columns[column], "row": what.rows[high], "other": what.rows[low]}
    return [
        ask(rng, _SUM, more + less, "exact", "sum", **names),
        ask(rng, _MORE, more - less, "exact", "difference", **names),
    ]


def _draw(rng: random.Random, split: Split, rows: tuple[int, int], columns: tuple[int, int]) -> Drawn:
    what = table(rng, split, rng.randint(*rows), rng.randint(*columns))
    shot = shoot(rng, _print(rng, split, what))
    return Drawn((shot.picture,), some(rng, _turns(rng, what), 4), shot.boxes)


def _reckon(rng: random.Random, split: Split) -> Drawn:
    what = table(rng, split, rng.randint(2, 6), rng.randint(1, 3))
    shot = shoot(rng, _print(rng, split, what))
    return Drawn((shot.picture,), some(rng, _sums(rng, what), 2), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    what = table(rng, split, rng.randint(2, 6), rng.randint(1, 4))
    shot = shoot(rng, _print(rng, split, what))
    text = f"A table of {spoken(what.columns)} for {spoken(what.rows)}."
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("table", "ocr", partial(_draw, rows=(2, 4), columns=(1, 2))),
    Dataset("table/large", "ocr", partial(_draw, rows=(6, 14), columns=(3, 6))),
    Dataset("table/sums", "reasoning", _reckon),
    Dataset("caption/table", "caption", _caption),
)
