"""Pie charts in percent, the slices named in a legend or beside them."""

import math
import random

from magicvl.train.generator.asking import ask, in_words, some, spoken
from magicvl.train.generator.chart.bar import DESCRIBE, SCREENED
from magicvl.train.generator.chart.data import ChartData, Series, categories, title
from magicvl.train.generator.chart.frame import ChartStyle, pick_style
from magicvl.train.generator.chart.questions import overview
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot, shoot
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import print_colour
from magicvl.train.samples.sample import Turn

_VALUE = ("What is the share of {name} in percent?", "How many percent is {name}?", "What percentage does {name} have?")
_LARGEST = ("Which slice is the largest?", "What has the largest share?")
_SMALLEST = ("Which slice is the smallest?", "What has the smallest share?")
_TOGETHER = (
    "How many percent are {name} and {other} together?",
    "What share do {name} and {other} have together, in percent?",
)
_LEAST = 4
"""Percent by which any two slices differ, so that the eye can tell which is larger; also the smallest slice."""


def _data(rng: random.Random, split: Split) -> ChartData:
    count = rng.randint(2, 6)
    return ChartData(title(rng, split), categories(rng, split, count, False), (Series("", _shares(rng, count)),), 10)


def _shares(rng: random.Random, count: int) -> tuple[int, ...]:
    """Percents that add up to 100."""
    # The least that fits: 4, 8, 12, ...; what is left over goes to the larger ones.
    shares = [_LEAST * (number + 1) for number in range(count)]
    left = 100 - sum(shares)
    cuts = sorted(rng.randint(0, left) for _ in range(count - 1))
    extra = sorted(b - a for a, b in zip([0, *cuts], [*cuts, left], strict=True))
    shares = [share + more for share, more in zip(shares, extra, strict=True)]
    rng.shuffle(shares)
    return tuple(shares)


def _print(rng: random.Random, what: ChartData, style: ChartStyle, numbers: bool) -> Page:
    """The pie, and on its right the legend; numbers stand in the legend."""
    font, heading, pad = style.font, style.heading, style.size
    names = [f"{name} {value}%" if numbers else name for name, value in zip(what.categories, what.values, strict=True)]
    radius = style.size * rng.uniform(5, 9)
    legend = max(font.width(name) for name in names) + 2 * pad
    width = max(2 * radius + legend + 3 * pad, heading.width(what.title) + 2 * pad)
    step = font.height * 1.35
    body = max(2 * radius, step * len(names))
    page = Page(round(width), round(heading.height + body + 3 * pad), style.theme.ground)
    page.write(page.size[0] / 2, pad * 0.7, what.title, heading, style.theme.ink, "ma")
    middle = (pad + radius, heading.height + 1.8 * pad + body / 2)
    _slices(rng, page, what, style, middle, radius)
    x, y = 2 * radius + 2 * pad, middle[1] - step * len(names) / 2
    for number, name in enumerate(names):
        at = y + (number + 0.5) * step
        page.bar((x, at - pad * 0.4, x + pad * 0.8, at + pad * 0.4), style.colours[number])
        page.write(x + pad * 1.3, at, name, font, style.theme.ink, "lm")
    return page


def _slices(
    rng: random.Random, page: Page, what: ChartData, style: ChartStyle, middle: tuple[float, float], radius: float
) -> None:
    turn = rng.uniform(0, 360)
    x, y = middle
    inside = rng.random() < 0.4
    for number, value in enumerate(what.values):
        sweep = value * 3.6
        page.pen.pieslice(
            (x - radius, y - radius, x + radius, y + radius), turn, turn + sweep, fill=style.colours[number]
        )
        if inside and value >= 10:
            away = math.radians(turn + sweep / 2)
            at = (x + 0.68 * radius * math.cos(away), y + 0.68 * radius * math.sin(away))
            page.write(*at, f"{value}%", style.font, print_colour(style.colours[number]), "mm")
        turn += sweep
    page.mark("pie", (x - radius, y - radius, x + radius, y + radius))


def _turns(rng: random.Random, what: ChartData, numbers: bool) -> list[Turn]:
    values = what.values
    turns = [
        ask(rng, _LARGEST, what.categories[values.index(max(values))], "anls", "largest"),
        ask(rng, _SMALLEST, what.categories[values.index(min(values))], "anls", "smallest"),
        *overview(rng, what, "slice"),
    ]
    if numbers:
        turns += [_share(rng, what, place) for place in rng.sample(range(len(values)), 2)]
    return turns


def _share(rng: random.Random, what: ChartData, place: int) -> Turn:
    value = what.values[place]
    return ask(rng, _VALUE, value, "relaxed", "value", [f"{value}%"], name=what.categories[place])


def _shot(rng: random.Random, split: Split, numbers: bool) -> tuple[ChartData, Shot]:
    what = _data(rng, split)
    page = _print(rng, what, pick_style(rng, split, len(what.categories)), numbers)
    return what, shoot(rng, page, SCREENED)


def _draw(rng: random.Random, split: Split) -> Drawn:
    numbers = rng.random() < 0.7
    what, shot = _shot(rng, split, numbers)
    return Drawn((shot.picture,), some(rng, _turns(rng, what, numbers), 3), shot.boxes)


def _reckon(rng: random.Random, split: Split) -> Drawn:
    what, shot = _shot(rng, split, True)
    one, two = rng.sample(range(len(what.values)), 2)
    names = {"name": what.categories[one], "other": what.categories[two]}
    both = what.values[one] + what.values[two]
    turn = ask(rng, _TOGETHER, both, "relaxed", "sum", [f"{both}%"], **names)
    return Drawn((shot.picture,), (turn,), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    what, shot = _shot(rng, split, True)
    pairs = [f"{name} {value}%" for name, value in zip(what.categories, what.values, strict=True)]
    text = f'A pie chart titled "{what.title}" with {in_words(len(pairs))} slices: {spoken(pairs)}.'
    return Drawn((shot.picture,), (ask(rng, DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("pie", "chart", _draw),
    Dataset("pie/sums", "reasoning", _reckon),
    Dataset("caption/pie", "caption", _caption),
)
