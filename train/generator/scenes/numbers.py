"""Numbers held against one another, and sums over them."""

import random
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import mixed_kinds, repeated
from magicvl.train.generator.scenes.kinds import Kind, countable_kinds
from magicvl.train.generator.scenes.scene import Plan, compose
from magicvl.train.generator.scenes.words import NUMBERS, ask, ask_number, ask_yes
from magicvl.train.samples.sample import Turn


def _compare(rng: random.Random, split: Split, most: int, plan: Plan) -> Drawn:
    """Numbers of two kinds: more, fewer, as many, how many more."""
    one, other = mixed_kinds(rng, countable_kinds(split), 2)
    draw = rng.choice((_more, _as_many, _which_more, _how_many_more))
    counts, turn = draw(rng, one, other, most)
    return compose(rng, split, repeated(rng, counts, split), plan).drawn(turn)


_Counted = tuple[dict[Kind, int], Turn]


def _unequal(rng: random.Random, most: int) -> tuple[int, int]:
    """Less and more."""
    less, more = sorted(rng.sample(range(1, most + 1), 2))
    return less, more


def _more(rng: random.Random, one: Kind, other: Kind, most: int) -> _Counted:
    less, more = _unequal(rng, most)
    yes, fewer = rng.random() < 0.5, rng.random() < 0.5
    # Where the answer is no there may also be as many.
    first, second = (more, less) if yes != fewer else (less, more)
    if not yes and rng.random() < 0.3:
        second = first
    phrase = f"Are there {'fewer' if fewer else 'more'} {one.plural} than {other.plural}?"
    return {one: first, other: second}, ask_yes(rng, (phrase,), yes, "compare")


def _as_many(rng: random.Random, one: Kind, other: Kind, most: int) -> _Counted:
    yes = rng.random() < 0.5
    first, second = rng.sample(_unequal(rng, most), 2)
    phrases = (
        f"Are there as many {one.plural} as {other.plural}?",
        f"Is the number of {one.plural} and {other.plural} the same?",
    )
    return {one: first, other: first if yes else second}, ask_yes(rng, phrases, yes, "compare")


def _which_more(rng: random.Random, one: Kind, other: Kind, most: int) -> _Counted:
    less, more = _unequal(rng, most)
    fewer = rng.random() < 0.5
    counts = {one: less, other: more} if rng.random() < 0.5 else {one: more, other: less}
    right = min(counts, key=lambda kind: counts[kind]) if fewer else max(counts, key=lambda kind: counts[kind])
    word = "fewer" if fewer else "more"
    phrases = (
        f"Of which are there {word}, {one.plural} or {other.plural}?",
        f"Are there {word} {one.plural} or {word} {other.plural}?",
    )
    return counts, ask(rng, phrases, right.plural, "compare", (right.noun,))


def _how_many_more(rng: random.Random, one: Kind, other: Kind, most: int) -> _Counted:
    gap = rng.randint(0, most - 1)
    less = rng.randint(1, most - gap)
    phrase = f"How many more {one.plural} than {other.plural} are there?"
    return {one: less + gap, other: less}, ask_number(rng, (phrase,), gap, "compare")


def _arithmetic(rng: random.Random, split: Split, others: int, plan: Plan) -> Drawn:
    """Sums and differences; every result is as frequent."""
    one, other, *rest = mixed_kinds(rng, countable_kinds(split), 2 + others)
    counts, turn = rng.choice((_together, _left_over, _not_of))(rng, one, other)
    # Kinds that are not asked about stand beside, save where everything counts.
    beside = {} if "not" in turn.prompt.split() else dict.fromkeys(rest, 1)
    return compose(rng, split, repeated(rng, counts | beside, split), plan).drawn(turn)


def _together(rng: random.Random, one: Kind, other: Kind) -> _Counted:
    total = rng.randint(2, 8)
    first = rng.randint(1, total - 1)
    phrases = (
        f"How many {one.plural} and {other.plural} are there together?",
        f"What is the number of {one.plural} plus the number of {other.plural}?",
    )
    return {one: first, other: total - first}, ask_number(rng, phrases, total, "arithmetic")


def _left_over(rng: random.Random, one: Kind, other: Kind) -> _Counted:
    left, taken = rng.randint(0, 4), rng.randint(1, 3)
    what = one.noun if taken == 1 else one.plural
    verb = "is" if taken == 1 else "are"
    phrases = (
        f"If {NUMBERS[taken]} {what} {verb} taken away, how many {one.plural} are left?",
        f"{NUMBERS[taken].capitalize()} {what} {verb} removed. How many {one.plural} remain?",
    )
    return {one: left + taken, other: rng.randint(1, 2)}, ask_number(rng, phrases, left, "arithmetic")


def _not_of(rng: random.Random, one: Kind, other: Kind) -> _Counted:
    rest = rng.randint(0, 5)
    phrases = (f"How many objects are not {one.plural}?", f"How many things here are not {one.plural}?")
    return {one: rng.randint(1, 3), other: rest}, ask_number(rng, phrases, rest, "arithmetic")


_SIMPLE = Plan(smallest=0.6)
_DENSE = Plan(("plain", "textured", "photo"), smallest=0.6, sides=(224, 256, 320, 384), overlap=0.06)

DATASETS: tuple[Dataset, ...] = (
    Dataset("reasoning/compare", "reasoning", partial(_compare, most=4, plan=_SIMPLE)),
    Dataset("reasoning/compare-dense", "reasoning", partial(_compare, most=6, plan=_DENSE)),
    Dataset("reasoning/arithmetic", "reasoning", partial(_arithmetic, others=0, plan=_SIMPLE)),
    Dataset("reasoning/arithmetic-dense", "reasoning", partial(_arithmetic, others=2, plan=_DENSE)),
)
