"""Sums, differences, products, comparisons."""

import random

from magicvl.train.generator.asking import ask
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.samples.sample import Turn

_RECKON = ("What is {sum}?", "Calculate {sum}.", "How much is {sum}?", "{sum} = ?")
_LARGER = ("Which is larger, {a} or {b}?", "Which number is greater: {a} or {b}?")
_SORT = ("Sort these numbers from small to large: {numbers}.", "Put in ascending order: {numbers}.")
_NEXT = ("Which number comes next: {numbers}?", "Continue the sequence {numbers} by one number.")


def _draw(rng: random.Random, split: Split) -> Drawn:
    return Drawn((), (rng.choice((_reckon, _reckon, _larger, _sort, _next))(rng),), ())


def _reckon(rng: random.Random) -> Turn:
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    small, factor = rng.randint(2, 12), rng.randint(2, 12)
    written, result = rng.choice(
        (
            (f"{a} + {b}", a + b),
            (f"{max(a, b)} - {min(a, b)}", abs(a - b)),
            (f"{small} times {factor}", small * factor),
            (f"{small * factor} divided by {small}", factor),
        )
    )
    return ask(rng, _RECKON, result, task="arithmetic", sum=written)


def _larger(rng: random.Random) -> Turn:
    a, b = rng.sample(range(1000), 2)
    return ask(rng, _LARGER, max(a, b), task="compare", a=a, b=b)


def _sort(rng: random.Random) -> Turn:
    numbers = rng.sample(range(100), rng.randint(3, 5))
    return ask(rng, _SORT, _row(sorted(numbers)), task="sort", numbers=_row(numbers))


def _next(rng: random.Random) -> Turn:
    first, step = rng.randint(0, 40), rng.randint(1, 12)
    return ask(rng, _NEXT, first + 4 * step, task="sequence", numbers=_row([first + step * n for n in range(4)]))


def _row(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


DATASETS = (Dataset("text/arithmetic", "text", _draw),)
