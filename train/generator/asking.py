"""Questions about drawings: many phrasings, one short answer in the one form that can be scored."""

import random
from collections.abc import Iterable, Sequence

from magicvl.train.samples.sample import Box, Metric, Turn

_WHERE = (
    "Where is {thing}? Answer with its box as [left, top, right, bottom] in thousandths.",
    "Give the box of {thing} as [left, top, right, bottom], from 0 to 1000.",
    "Box of {thing}, please: [left, top, right, bottom] in thousandths of the picture.",
    "Locate {thing}. Answer [left, top, right, bottom] with numbers from 0 to 1000.",
)


def ask(
    rng: random.Random,
    phrasings: Sequence[str],
    answer: object,
    metric: Metric = "exact",
    task: str = "",
    others: Iterable[str] = (),
    **names: object,
) -> Turn:
    """A question in one of its phrasings, with the names put in."""
    return Turn(rng.choice(phrasings).format(**names), str(answer), metric, task, tuple(others))


def where(rng: random.Random, thing: str, box: Box, size: tuple[int, int], task: str = "box") -> Turn:
    """Where a thing is in a picture of that size in px."""
    return ask(rng, _WHERE, thousandths(box, size), "iou", task, thing=thing)


def thousandths(box: Box, size: tuple[int, int]) -> str:
    """A box as it is answered: `[left, top, right, bottom]` in thousandths of the picture's sides."""
    width, height = size
    sides = (box.left / width, box.top / height, box.right / width, box.bottom / height)
    return str([min(1000, max(0, round(1000 * side))) for side in sides])


def some(rng: random.Random, turns: Sequence[Turn], most: int) -> tuple[Turn, ...]:
    """One to that many of the questions, in any order, none twice."""
    turns = list({turn.prompt: turn for turn in turns}.values())
    return tuple(rng.sample(turns, min(len(turns), rng.randint(1, most))))


def yes(truth: bool) -> str:
    """The answer to a question that is answered by yes or no."""
    return "yes" if truth else "no"


def listed(items: Sequence[object]) -> str:
    """Several things in one answer: `a, b, c`."""
    return ", ".join(str(item) for item in items)


def spoken(items: Sequence[str]) -> str:
    """Several things in a sentence: `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()


def in_words(count: int) -> str:
    """A small number as a word."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def ordinal(place: int) -> str:
    """`first` for 1, and so on to ten, then 11th."""
    if place <= len(_ORDINALS):
        return _ORDINALS[place - 1]
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
