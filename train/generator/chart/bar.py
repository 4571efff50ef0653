"""Bar charts: upright or lying bars, with or without their numbers, one series or several."""

import random
from functools import partial

from magicvl.train.generator.asking import ask, in_words, some, spoken
from magicvl.train.generator.chart.data import ChartData, data
from magicvl.train.generator.chart.frame import ChartStyle, open_chart, pick_style, value_axis
from magicvl.train.generator.chart.questions import readings, reckonings, series_readings
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Camera, Shot, shoot
from magicvl.train.generator.letters import Rect
from magicvl.train.generator.page import Page

SCREENED = Camera(photograph=0.03, light=0.15, blur=0.04, noise=0.08, jpeg=0.12)
DESCRIBE = ("Describe the picture.", "What does the chart show?", "Write a short caption.")


def upright(rng: random.Random, what: ChartData, style: ChartStyle, numbers: bool) -> Page:
    """Bars that grow upwards; several series stand side by side."""
    font = style.font
    share = 0.9 if numbers else rng.uniform(0.55, 0.85)
    least = len(what.series) * (font.width(f"{what.top}") + 5 if numbers else style.size * 1.2) / share
    across = max(least, max(font.width(name) for name in what.categories) + style.size * 0.7)
    page, plot = open_chart(what, style, (across * len(what.categories), style.size * rng.uniform(9, 18)))
    value_axis(page, what, style, plot)
    width = across * share / len(what.series)
    for number, name in enumerate(what.categories):
        middle = plot[0] + (number + 0.5) * across
        page.write(middle, plot[3] + style.size * 0.3, name, font, style.theme.ink, "ma")
        for at, series in enumerate(what.series):
            left = middle + (at - len(what.series) / 2) * width
            top = plot[3] - series.values[number] / what.top * (plot[3] - plot[1])
            rect = (left, top, left + width - (1 if at + 1 < len(what.series) else 0), plot[3])
            _bar(page, what, style, rect, number, at)
            if numbers:
                page.write(left + width / 2, top - 2, str(series.values[number]), font, style.theme.ink, "md")
    return page


def lying(rng: random.Random, what: ChartData, style: ChartStyle, numbers: bool) -> Page:
    """Bars that grow to the right, one series."""
    font, down = style.font, style.size * rng.uniform(1.8, 2.8)
    plot_width = style.size * rng.uniform(14, 22)
    page, plot = open_chart(what, style, (plot_width, down * len(what.categories)), sideways=True)
    value_axis(page, what, style, plot, sideways=True)
    thick = down * rng.uniform(0.55, 0.85)
    for number, (name, value) in enumerate(zip(what.categories, what.values, strict=True)):
        middle = plot[1] + (number + 0.5) * down
        right = plot[0] + value / what.top * plot_width
        _bar(page, what, style, (plot[0], middle - thick / 2, right, middle + thick / 2), number, 0)
        page.write(plot[0] - style.size * 0.5, middle, name, font, style.theme.ink, "rm")
        if numbers:
            _number_inside(page, style, (plot[0], middle, right), value)
    return page


def _number_inside(page: Page, style: ChartStyle, at: tuple[float, float, float], value: int) -> None:
    """Beside the end of a bar, where there is room for it."""
    _, middle, right = at
    wide = style.font.width(str(value)) + 6
    if right + wide <= page.size[0]:
        page.write(right + 4, middle, str(value), style.font, style.theme.ink, "lm")
    else:
        page.bar((right - wide, middle - style.size * 0.6, right, middle + style.size * 0.6), style.theme.ground)
        page.write(right - 3, middle, str(value), style.font, style.theme.ink, "rm")


def _bar(page: Page, what: ChartData, style: ChartStyle, rect: Rect, number: int, series: int) -> None:
    several = len(what.series) > 1
    page.bar(rect, style.colours[(series if several else number) % len(style.colours)])
    name = what.categories[number]
    page.mark(f"bar {name} {what.series[series].name}" if several else f"bar {name}", rect)


def _one(rng: random.Random, split: Split, numbers: float = 0.6) -> tuple[ChartData, Shot, bool]:
    what = data(rng, split, rng.randint(2, 6))
    style = pick_style(rng, split, 1 if rng.random() < 0.6 else len(what.categories))
    down = rng.random() < 0.3
    page = (lying if down else upright)(rng, what, style, rng.random() < numbers)
    return what, shoot(rng, page, SCREENED), down


def _draw(rng: random.Random, split: Split) -> Drawn:
    what, shot, down = _one(rng, split)
    return Drawn((shot.picture,), some(rng, readings(rng, what, "bar", down), 3), shot.boxes)


def _draw_grouped(rng: random.Random, split: Split, categories: tuple[int, int]) -> Drawn:
    what = data(rng, split, rng.randint(*categories), rng.randint(2, 3))
    style = pick_style(rng, split, len(what.series))
    shot = shoot(rng, upright(rng, what, style, rng.random() < 0.35), SCREENED)
    return Drawn((shot.picture,), some(rng, series_readings(rng, what), 4), shot.boxes)


def _reckon(rng: random.Random, split: Split) -> Drawn:
    what, shot, _ = _one(rng, split, numbers=0.85)
    return Drawn((shot.picture,), some(rng, reckonings(rng, what, "bar"), 3), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    what, shot, _ = _one(rng, split, numbers=0.85)
    pairs = [f"{name} {value}" for name, value in zip(what.categories, what.values, strict=True)]
    text = f'A bar chart titled "{what.title}" with {in_words(len(pairs))} bars: {spoken(pairs)}.'
    return Drawn((shot.picture,), (ask(rng, DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("bars", "chart", _draw),
    Dataset("bars/grouped", "chart", partial(_draw_grouped, categories=(3, 7))),
    Dataset("bars/sums", "reasoning", _reckon),
    Dataset("caption/bars", "caption", _caption),
)
