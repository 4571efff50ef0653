"""How scenes are put into words: counts, lists, places, boxes; and the turns that all tasks are made of."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from magicvl.train.generator import asking
from magicvl.train.generator.scenes.kinds import Kind
from magicvl.train.samples.sample import Turn

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(kinds: Iterable[Kind]) -> str:
    """Every kind with its number, in the order of their first: two dogs, a cup and an apple."""
    counts = Counter(kinds)
    return listed([kind.one if count == 1 else f"{NUMBERS[count]} {kind.plural}" for kind, count in counts.items()])


def ask(rng: random.Random, phrases: Sequence[str], answer: str, task: str, others: tuple[str, ...] = ()) -> Turn:
    """A turn in one of the phrases, scored by exact match."""
    return asking.ask(rng, phrases, answer, "exact", task, others)


def ask_number(rng: random.Random, phrases: Sequence[str], number: int, task: str = "count") -> Turn:
    """A turn whose answer is a number in digits; its word is as right."""
    return ask(rng, phrases, str(number), task, (NUMBERS[number],) if number else ("zero", "none"))


def ask_yes(rng: random.Random, phrases: Sequence[str], yes: bool, task: str) -> Turn:
    """A turn that is answered by yes or no."""
    return ask(rng, phrases, "yes" if yes else "no", task)


def ask_kind(rng: random.Random, phrases: Sequence[str], kind: Kind, task: str) -> Turn:
    """A turn that is answered by what something is called; with its article, or by another name, it is as right."""
    return ask(
        rng, phrases, kind.noun, task, (f"{kind.article} {kind.noun}", *kind.others) if kind.article else kind.others
    )


def the(kind: Kind) -> str:
    """The one of its kind: the dog."""
    return f"the {kind.noun}"


def be(kind: Kind) -> str:
    """is, or are for what is always plural."""
    return "is" if kind.article else "are"
