"""The numbers of a chart: categories, series, a title and a unit."""

import random
from dataclasses import dataclass

from magicvl.train.generator.dataset import Split
from magicvl.train.generator.locales import ENGLISH
from magicvl.train.generator.names import people
from magicvl.train.generator.words import several, word

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Distances of the marks on the axis of values."""
_MEASURES = "Sales Visitors Orders Hours Points Members Trees Books Calls Miles Meals Votes Trips Costs Tickets".split()
_MONTHS = ENGLISH[1].months


@dataclass(frozen=True)
class Series:
    """One row of numbers."""

    name: str
    values: tuple[int, ...]
    """Multiples of half a step of the axis, so that they can be read off it."""


@dataclass(frozen=True)
class ChartData:
    """What a chart shows."""

    title: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    step: int
    """From one mark of the axis to the next."""

    @property
    def values(self) -> tuple[int, ...]:
        """Of the first series."""
        return self.series[0].values

    @property
    def top(self) -> int:
        """The highest mark of the axis: the first at or above all values."""
        largest = max(max(series.values) for series in self.series)
        return -(-largest // self.step) * self.step


def title(rng: random.Random, split: Split) -> str:
    """What is measured, and where or when."""
    measure = rng.choice(_MEASURES)
    one = word(rng, split, "noun").capitalize()
    return rng.choice((f"{measure} by {one}", f"{one} {measure}", f"{measure} in {rng.randint(1990, 2030)}"))


def categories(rng: random.Random, split: Split, count: int, in_time: bool) -> tuple[str, ...]:
    """Names, words, months or years, all different; only the latter two follow each other in time."""
    kind = rng.choice(("months", "years") if in_time else ("words", "people", "months", "years"))
    if kind == "months":
        first = rng.randint(0, 12 - count)
        return _MONTHS[first : first + count]
    if kind == "years":
        first = rng.randint(1980, 2030)
        return tuple(str(first + number) for number in range(count))
    if kind == "people":
        return people(rng, split, count)
    return tuple(one.capitalize() for one in several(rng, split, count))


def data(rng: random.Random, split: Split, count: int, series: int = 1, in_time: bool = False) -> ChartData:
    """Random numbers, no two of one series or of one category the same."""
    step = rng.choice(STEPS[1:])
    marks = rng.randint(max(4, count), max(8, count))
    half = step // 2 or 1
    halves = _distinct(rng, marks * step // half, count, series)
    names = [one.capitalize() for one in several(rng, split, series)]
    rows = tuple(Series(name, tuple(half * value for value in row)) for name, row in zip(names, halves, strict=True))
    return ChartData(title(rng, split), categories(rng, split, count, in_time), rows, step)


def _distinct(rng: random.Random, most: int, count: int, rows: int) -> list[list[int]]:
    """Rows of numbers from 1 on, none twice in a row or a column: points of two lines never hide each other."""
    while True:
        found = [rng.sample(range(1, most + 1), count) for _ in range(rows)]
        if all(len(set(column)) == rows for column in zip(*found, strict=True)):
            return found
