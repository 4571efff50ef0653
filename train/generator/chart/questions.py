"""Questions about the numbers of a chart, the same for bars, lines and slices."""

import random
from typing import Any

from magicvl.train.generator.asking import ask, in_words, listed
from magicvl.train.generator.chart.data import ChartData
from magicvl.train.samples.sample import Turn

_TITLE = ("What is the title of the chart?", "Read the title of the chart.")
_VALUE = ("What is the value of {name}?", "What value does {name} have?", "Read the value of {name}.")
_OF = ("What is the value of {series} for {name}?", "Which value does {series} have at {name}?")
_LARGEST = ("Which {part} is the largest?", "What has the highest value?", "Which one is the highest?")
_SMALLEST = ("Which {part} is the smallest?", "What has the lowest value?", "Which one is the lowest?")
_MOST = ("Where is {series} the highest?", "For what does {series} have its highest value?")
_LEAST = ("Where is {series} the lowest?", "For what does {series} have its lowest value?")
_COUNT = ("How many {parts} does the chart have?", "How many {parts} are there?")
_LABELS = ("List the {parts} from left to right.", "What are the labels of the {parts}, from left to right?")
_DOWNWARDS = ("List the {parts} from top to bottom.", "What are the labels of the {parts}, from top to bottom?")
_SERIES = ("Which series are in the legend?", "List the names in the legend.")
_DIFFERENCE = ("How much larger is {name} than {other}?", "What is the difference between {name} and {other}?")
_SUM = ("What is the sum of {name} and {other}?", "Add the values of {name} and {other}.")
_ABOVE = ("How many {parts} are above {bound}?", "How many {parts} have more than {bound}?")
_COMPARE = ("Is {name} larger than {other}? Answer yes or no.", "Does {name} have more than {other}? Answer yes or no.")


def readings(rng: random.Random, what: ChartData, part: str, down: bool = False) -> list[Turn]:
    """What can be seen of a chart of one series; part is what its parts are called."""
    named = {"part": part, "parts": f"{part}s"}
    places = rng.sample(range(len(what.categories)), 2)
    return [
        *(ask(rng, _VALUE, what.values[at], "relaxed", "value", name=what.categories[at]) for at in places),
        ask(rng, _LARGEST, _at(what, max(what.values)), "anls", "largest", **named),
        ask(rng, _SMALLEST, _at(what, min(what.values)), "anls", "smallest", **named),
        ask(rng, _LABELS if not down else _DOWNWARDS, listed(what.categories), "anls", "labels", **named),
        *overview(rng, what, part),
    ]


def overview(rng: random.Random, what: ChartData, part: str) -> list[Turn]:
    """Title and number of parts."""
    count = len(what.categories)
    return [
        ask(rng, _TITLE, what.title, "anls", "title"),
        ask(rng, _COUNT, count, task="count parts", others=[in_words(count)], parts=f"{part}s"),
    ]


def series_readings(rng: random.Random, what: ChartData) -> list[Turn]:
    """What can be seen of a chart of several series."""
    turns = [
        ask(rng, _TITLE, what.title, "anls", "title"),
        ask(rng, _SERIES, listed([series.name for series in what.series]), "anls", "legend"),
    ]
    for series in what.series:
        place, high, low = rng.randrange(len(what.categories)), max(series.values), min(series.values)
        names: dict[str, Any] = {"series": series.name, "name": what.categories[place]}
        turns += [
            ask(rng, _OF, series.values[place], "relaxed", "value", **names),
            ask(rng, _MOST, what.categories[series.values.index(high)], "anls", "largest", **names),
            ask(rng, _LEAST, what.categories[series.values.index(low)], "anls", "smallest", **names),
        ]
    return turns


def reckonings(rng: random.Random, what: ChartData, part: str) -> list[Turn]:
    """What must be reckoned from several values."""
    one, two = rng.sample(range(len(what.categories)), 2)
    high, low = (one, two) if what.values[one] > what.values[two] else (two, one)
    names: dict[str, Any] = {"name": what.categories[high], "other": what.categories[low]}
    bound = rng.choice(sorted(what.values))
    above = sum(value > bound for value in what.values)
    swapped: dict[str, Any] = {"name": what.categories[one], "other": what.categories[two]}
    return [
        ask(rng, _DIFFERENCE, what.values[high] - what.values[low], "relaxed", "difference", **names),
        ask(rng, _SUM, what.values[high] + what.values[low], "relaxed", "sum", **names),
        ask(rng, _COMPARE, "yes" if one == high else "no", task="compare", **swapped),
        ask(rng, _ABOVE, above, task="count above", others=[in_words(above)], parts=f"{part}s", bound=bound),
    ]


def _at(what: ChartData, value: int) -> str:
    return what.categories[what.values.index(value)]
