"""A list in a program: a title, rows with a name, a note and a value; long ones over several screens."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, in_words, ordinal, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import (
    COUNTABLE,
    Look,
    avatar,
    blank,
    common_turns,
    found,
    pick_look,
    screenshot,
    status_bar,
    title_bar,
)
from magicvl.train.generator.locales import LOCALES
from magicvl.train.generator.names import apps
from magicvl.train.generator.page import Page
from magicvl.train.generator.words import several
from magicvl.train.samples.sample import Turn

_VALUE = ('What is shown beside "{name}"?', 'Which value does "{name}" have?', 'What stands on the right of "{name}"?')
_NOTE = ('What is written below "{name}"?', 'What does the line under "{name}" say?')
_NTH = ("What is the {nth} entry of the list?", "Which entry is the {nth} one?", "Read the name of the {nth} row.")
_LAST = ("What is the last entry of the list?", "Which entry is at the very end?")
_COUNT = ("How many entries does the list have?", "How many rows are in the list?")
_AFTER = ('Which entry comes right after "{name}"?', 'What stands directly below the row "{name}"?')
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")


@dataclass(frozen=True)
class Row:
    """One entry."""

    name: str
    note: str
    value: str


@dataclass(frozen=True)
class Listing:
    """What a list screen says."""

    title: str
    rows: tuple[Row, ...]


def _listing(rng: random.Random, split: Split, count: int) -> Listing:
    """Rows of different names; values of one sort."""
    locale, sort = rng.choice(LOCALES), rng.randrange(3)
    names = [one.capitalize() for one in several(rng, split, count)]
    rows = []
    for name in names:
        value = (locale.money(rng.randrange(50, 20000)), locale.time(rng), f"{rng.randint(1, 99)} km")[sort]
        rows.append(Row(name, " ".join(several(rng, split, 2, None)), value))
    return Listing(apps(rng, split, 1)[0], tuple(rows))


def _print(rng: random.Random, look: Look, what: Listing) -> Page:
    height, pictures = look.px(rng.uniform(54, 66)), rng.random() < 0.6
    page = blank(look, max(look.height, round(look.px(78) + height * len(what.rows))))
    top = title_bar(page, look, status_bar(page, look), what.title)
    left = look.px(62) if pictures else look.px(16)
    for number, row in enumerate(what.rows):
        y = top + number * height
        if pictures:
            side = look.px(36)
            avatar(rng, page, look, look.px(14), y + (height - side) / 2, side, row.name)
        page.write(left, y + height * 0.34, row.name, look.bold(15), look.theme.ink, "lm")
        page.write(left, y + height * 0.7, row.note, look.font(12), look.theme.muted, "lm")
        page.write(look.width - look.px(12), y + height * 0.34, row.value, look.font(13), look.theme.ink, "rm")
        page.rule(left, y + height - 1, look.width, y + height - 1, look.theme.line)
        page.mark(f"row {row.name}", (0, y, look.width, y + height))
    return page


def _turns(rng: random.Random, what: Listing, shot: Shot) -> list[Turn]:
    place = rng.randrange(len(what.rows))
    row = what.rows[place]
    turns = [
        ask(rng, _VALUE, row.value, "anls", "value", name=row.name),
        ask(rng, _NOTE, row.note, "anls", "note", name=row.name),
        ask(rng, _NTH, row.name, "anls", "entry", nth=ordinal(place + 1)),
        ask(rng, _LAST, what.rows[-1].name, "anls", "entry"),
        where(rng, f'the row "{row.name}"', found(shot, f"row {row.name}"), shot.size, "row"),
    ]
    if len(what.rows) <= COUNTABLE:
        turns.append(ask(rng, _COUNT, len(what.rows), task="count rows", others=[in_words(len(what.rows))]))
    if place + 1 < len(what.rows):
        turns.append(ask(rng, _AFTER, what.rows[place + 1].name, "anls", "after", name=row.name))
    return turns


def _draw(rng: random.Random, split: Split, screens: tuple[float, float]) -> Drawn:
    look = pick_look(rng, split)
    count = max(2, int(rng.uniform(*screens) * look.height / look.px(64)) - 1)
    what = _listing(rng, split, count)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look, what.title), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    look, count = pick_look(rng, split), rng.randint(2, 6)
    what = _listing(rng, split, count)
    shot = screenshot(rng, _print(rng, look, what))
    text = f'A phone screen with the title "{what.title}" and a list of {in_words(count)} entries, '
    text += f'from "{what.rows[0].name}" to "{what.rows[-1].name}".'
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("screen/list", "gui", partial(_draw, screens=(0.3, 1.0))),
    Dataset("long/list", "gui", partial(_draw, screens=(3.7, 7.5))),
    Dataset("caption/list", "caption", _caption),
)
