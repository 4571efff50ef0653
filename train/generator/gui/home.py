"""A home screen: apps in rows and columns with their names, some with a number of news."""

import random
from dataclasses import dataclass
from typing import Any

from magicvl.train.generator.asking import ask, in_words, listed, ordinal, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import Look, blank, common_turns, found, pick_look, screenshot, status_bar
from magicvl.train.generator.letters import Letters, Rect
from magicvl.train.generator.names import apps
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import WHITE, Rgb, print_colour, shade
from magicvl.train.samples.sample import Turn

_AT = ("Which app is in row {row}, column {column}?", "Name the app in the {rowth} row, {columnth} column.")
_COUNT = ("How many apps are on the screen?", "How many apps are there?")
_BESIDE = ('Which app is directly right of "{name}"?', 'What is the app right beside "{name}", on its right?')
_BELOW = ('Which app is directly below "{name}"?', 'Name the app right under "{name}".')
_NEWS = ('How many notifications does "{name}" have?', 'Which number is on the badge of "{name}"?')
_WHICH = ("Which app has notifications?", "Which app shows a badge with a number?")
_ROW = ("List the apps of the {rowth} row.", "Which apps are in row {row}, from left to right?")
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")


@dataclass(frozen=True)
class Home:
    """Apps row by row; the last row may be shorter."""

    names: tuple[str, ...]
    columns: int
    news: dict[str, int]
    """How many, by name."""

    @property
    def rows(self) -> int:
        return -(-len(self.names) // self.columns)

    def row(self, number: int) -> tuple[str, ...]:
        """The apps of a row, counted from 0."""
        return self.names[number * self.columns : (number + 1) * self.columns]


def _home(rng: random.Random, split: Split, look: Look) -> Home:
    columns = rng.choice((3, 4))
    room = look.width / columns - 6
    names = tuple(
        name for name in apps(rng, split, rng.randint(columns, columns * 5)) if _font(look).width(name) < room
    )
    names = names or apps(rng, split, 1)
    news = {name: rng.randint(1, 40) for name in rng.sample(names, min(len(names), rng.choice((0, 1, 1, 2))))}
    return Home(names, columns, news)


def _font(look: Look) -> Letters:
    return look.font(11)


def _print(rng: random.Random, look: Look, what: Home) -> Page:
    across, down = look.width / what.columns, look.px(rng.uniform(82, 98))
    page = blank(look, round(look.px(50) + down * what.rows))
    top = status_bar(page, look) + look.px(10)
    side, radius = look.px(46), rng.choice((4, 10, 23))
    font = _font(look)
    for number, name in enumerate(what.names):
        row, column = divmod(number, what.columns)
        middle, y = (column + 0.5) * across, top + row * down
        icon = (middle - side / 2, y, middle + side / 2, y + side)
        colour = shade(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.7))
        page.bar(icon, colour, look.px(radius))
        _glyph(rng, page, icon, print_colour(colour))
        words = page.write(middle, y + side + look.px(5), name, font, look.theme.ink, "ma")
        page.mark(f"app {name}", (min(icon[0], words.left), y, max(icon[2], words.right), words.bottom))
        if name in what.news:
            _badge(page, look, icon[2], y, what.news[name])
    return page


def _badge(page: Page, look: Look, right: float, top: float, count: int) -> None:
    font = look.bold(11)
    radius = max(font.size * 0.75, font.width(str(count)) / 2 + 3)
    middle = (right - radius / 3, top + radius / 2)
    rect = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    page.pen.ellipse(rect, fill=(200, 20, 30))
    page.write(*middle, str(count), font, WHITE, "mm")


def _glyph(rng: random.Random, page: Page, icon: Rect, ink: Rgb) -> None:
    """A sign that means nothing: the name is below."""
    left, top, right, bottom = icon
    inset = (right - left) * rng.uniform(0.22, 0.32)
    box = (left + inset, top + inset, right - inset, bottom - inset)
    draw = rng.choice((page.pen.ellipse, page.pen.rectangle))
    if rng.random() < 0.3:
        middle = (left + right) / 2
        page.pen.polygon([(middle, box[1]), (box[2], box[3]), (box[0], box[3])], fill=ink)
    elif rng.random() < 0.5:
        draw(box, fill=ink)
    else:
        draw(box, outline=ink, width=max(2, round(inset / 3)))


def _turns(rng: random.Random, what: Home, shot: Shot) -> list[Turn]:
    number = rng.randrange(len(what.names))
    name, (row, column) = what.names[number], divmod(number, what.columns)
    places: dict[str, Any] = {
        "row": row + 1,
        "column": column + 1,
        "rowth": ordinal(row + 1),
        "columnth": ordinal(column + 1),
    }
    turns = [
        ask(rng, _AT, name, "anls", "app at", **places),
        ask(rng, _COUNT, len(what.names), task="count apps", others=[in_words(len(what.names))]),
        ask(rng, _ROW, listed(what.row(row)), "anls", "row", row=row + 1, rowth=ordinal(row + 1)),
        where(rng, f'the app "{name}"', found(shot, f"app {name}"), shot.size, "app"),
        where(rng, f'the app "{name}"', found(shot, f"app {name}"), shot.size, "app"),
    ]
    if number + what.columns < len(what.names):
        turns.append(ask(rng, _BELOW, what.names[number + what.columns], "anls", "neighbour", name=name))
    if column + 1 < len(what.row(row)):
        turns.append(ask(rng, _BESIDE, what.names[number + 1], "anls", "neighbour", name=name))
    turns += [ask(rng, _NEWS, count, task="badge", name=app) for app, count in what.news.items()]
    return [*turns, ask(rng, _WHICH, next(iter(what.news)), "anls", "badge")] if len(what.news) == 1 else turns


def _draw(rng: random.Random, split: Split) -> Drawn:
    look = pick_look(rng, split)
    what = _home(rng, split, look)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    look = pick_look(rng, split)
    what = _home(rng, split, look)
    shot = screenshot(rng, _print(rng, look, what))
    text = f"A home screen with {in_words(len(what.names))} apps: {listed(what.names)}."
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (Dataset("screen/home", "gui", _draw), Dataset("caption/home", "caption", _caption))
