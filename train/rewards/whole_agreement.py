"""Whether a judge of whole captions can judge: pairs of a better and a worse caption that it must put in order.

Completeness: a right caption or a paraphrase against one that is swapped, has another actor, another action, or lacks
events. Naturalness: the same good ones against broken ones, made of them: words shuffled, a sentence said three times,
content words alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.errors import MagicVLError
from magicvl.train.rewards.broken import BROKEN, broken
from magicvl.train.rewards.chooser import Chooser
from magicvl.train.rewards.planted import PlantedFilm
from magicvl.train.rewards.whole_caption import Naturalness, complete

GOOD = ("right", "paraphrase")
WORSE = ("swapped", "actor", "action", "missing")
LEAST = 0.75
"""Share of pairs in order; guessing reaches a half."""


@dataclass(frozen=True)
class Order:
    """Pairs of one kind."""

    kind: str
    pairs: int
    ordered: float
    """How many are in order; one whose scores are equal counts half."""

    @property
    def share(self) -> float:
        """Of the pairs."""
        return self.ordered / self.pairs if self.pairs else 0.0


def measure_completeness(model: Chooser, films: Sequence[PlantedFilm]) -> tuple[Order, ...]:
    """One row a kind of worse caption."""
    found: dict[str, list[float]] = {kind: [] for kind in WORSE}
    for film in films:
        marks = complete(model, [each.caption for each in film.captions], [film.reference] * len(film.captions))
        kinds = [each.kind for each in film.captions]
        good = [mark for kind, mark in zip(kinds, marks, strict=True) if kind in GOOD]
        for kind, mark in zip(kinds, marks, strict=True):
            if kind in found:
                found[kind] += [_ordered(better, mark) for better in good]
    return tuple(Order(kind, len(each), sum(each)) for kind, each in found.items())


def measure_naturalness(naturalness: Naturalness, films: Sequence[PlantedFilm]) -> tuple[Order, ...]:
    """One row a way of breaking a caption."""
    good = good_captions(films)
    best = naturalness.natural(good)
    rows = []
    for kind in BROKEN:
        worse = naturalness.natural([broken(kind, each) for each in good])
        rows.append(Order(kind, len(good), sum(map(_ordered, best, worse))))
    return tuple(rows)


def require(name: str, completeness: Sequence[Order], naturalness: Sequence[Order]) -> None:
    """Raises MagicVLError, in one line with its scores, for a judge that cannot judge."""
    shares = {"complete": _whole(completeness), "natural": _whole(naturalness)}
    swapped = next((each.share for each in completeness if each.kind == "swapped"), 0.0)
    if min(*shares.values(), swapped) < LEAST:
        raise MagicVLError(
            f"judge {name}: it cannot judge captions: {shares['complete']:.0%} of planted captions in order by "
            f"completeness ({swapped:.0%} where actors are swapped), {shares['natural']:.0%} by naturalness, where "
            f"{LEAST:.0%} are due and 50% is guessing; give a better model, or take the event score"
        )


def good_captions(films: Sequence[PlantedFilm]) -> list[str]:
    """Those in whole sentences that tell all."""
    return [each.caption for film in films for each in film.captions if each.kind in GOOD]


def _whole(orders: Sequence[Order]) -> float:
    pairs = sum(each.pairs for each in orders)
    return sum(each.ordered for each in orders) / pairs if pairs else 0.0


def _ordered(better: float, worse: float) -> float:
    return 0.5 if better == worse else float(better > worse)
