"""Line charts: one line with its points, or several with a legend."""

import random
from typing import Any

from magicvl.train.generator.asking import ask, some
from magicvl.train.generator.chart.bar import DESCRIBE, SCREENED
from magicvl.train.generator.chart.data import ChartData, data
from magicvl.train.generator.chart.frame import ChartStyle, open_chart, pick_style, value_axis
from magicvl.train.generator.chart.questions import readings, series_readings
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot, shoot
from magicvl.train.generator.page import Page
from magicvl.train.samples.sample import Turn

_TREND = ("Does the line rise or fall from {first} to {last}?", "From {first} to {last}: does the line rise or fall?")


def _print(rng: random.Random, what: ChartData, style: ChartStyle, numbers: bool) -> Page:
    font = style.font
    across = max(font.width(name) for name in what.categories) + style.size * rng.uniform(0.8, 1.8)
    page, plot = open_chart(what, style, (across * len(what.categories), style.size * rng.uniform(10, 18)))
    value_axis(page, what, style, plot)
    for number, name in enumerate(what.categories):
        page.write(plot[0] + (number + 0.5) * across, plot[3] + style.size * 0.3, name, font, style.theme.ink, "ma")
    radius, width = rng.choice((3, 4)), rng.choice((2, 3))
    for series, colour in zip(what.series, style.colours, strict=False):
        points = [
            (plot[0] + (number + 0.5) * across, plot[3] - value / what.top * (plot[3] - plot[1]))
            for number, value in enumerate(series.values)
        ]
        page.pen.line(points, fill=colour, width=width, joint="curve")
        for (x, y), value, name in zip(points, series.values, what.categories, strict=True):
            page.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
            page.mark(f"point {series.name} {name}", (x - radius, y - radius, x + radius, y + radius))
            if numbers:
                valley = all(other[1] <= y for other in _beside(points, (x, y)))
                _number(page, style, (x, y), str(value), valley and y + 6 + font.height < plot[3])
    return page


def _beside(points: list[tuple[float, float]], point: tuple[float, float]) -> list[tuple[float, float]]:
    """The points before and after one."""
    place = points.index(point)
    return points[max(0, place - 1) : place] + points[place + 1 : place + 2]


def _number(page: Page, style: ChartStyle, at: tuple[float, float], text: str, below: bool) -> None:
    """Above its point, or below where the line comes down from both sides and there is room."""
    y = at[1] + 6 if below else at[1] - 6
    page.write(at[0], y, text, style.font, style.theme.ink, "ma" if below else "md")


def _one(rng: random.Random, split: Split) -> tuple[ChartData, Shot]:
    what = data(rng, split, rng.randint(3, 8), in_time=True)
    page = _print(rng, what, pick_style(rng, split, 1), rng.random() < 0.4)
    return what, shoot(rng, page, SCREENED)


def _trend(rng: random.Random, what: ChartData) -> Turn:
    """Between two neighbours."""
    place = rng.randrange(len(what.categories) - 1)
    rises = what.values[place + 1] > what.values[place]
    names: dict[str, Any] = {"first": what.categories[place], "last": what.categories[place + 1]}
    return ask(rng, _TREND, "rise" if rises else "fall", task="trend", others=["rises" if rises else "falls"], **names)


def _draw(rng: random.Random, split: Split) -> Drawn:
    what, shot = _one(rng, split)
    turns = [*readings(rng, what, "point"), _trend(rng, what), _trend(rng, what)]
    return Drawn((shot.picture,), some(rng, turns, 3), shot.boxes)


def _draw_several(rng: random.Random, split: Split) -> Drawn:
    what = data(rng, split, rng.randint(4, 9), rng.randint(2, 3), in_time=True)
    shot = shoot(rng, _print(rng, what, pick_style(rng, split, len(what.series)), False), SCREENED)
    return Drawn((shot.picture,), some(rng, series_readings(rng, what), 4), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    what, shot = _one(rng, split)
    most = what.categories[what.values.index(max(what.values))]
    least = what.categories[what.values.index(min(what.values))]
    text = f'A line chart titled "{what.title}" from {what.categories[0]} to {what.categories[-1]}, '
    text += f"highest at {most} and lowest at {least}."
    return Drawn((shot.picture,), (ask(rng, DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("line-chart", "chart", _draw),
    Dataset("line-chart/several", "chart", _draw_several),
    Dataset("caption/line-chart", "caption", _caption),
)
