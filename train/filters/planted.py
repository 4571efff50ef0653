"""Whether a judge can judge: pairs of a good and a bad answer that it must tell apart.

planted.json has 50 questions of all categories whose bad answer is another one's good one, and 40 facts whose bad
answer contradicts them; written for this. On every second pair the line between Yes and No is drawn, on the others the
agreement is measured.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from magicvl.errors import MagicVLError
from magicvl.train.filters.judge import Judge, Way
from magicvl.train.filters.judge_prompt import CHECKS, Case, Check

Progress = Callable[[str, int, int], None]
PAIRS = Path(__file__).with_name("planted.json")


@dataclass(frozen=True)
class Pair:
    """The same question with a good answer and with a bad one."""

    good: Case
    bad: Case


@dataclass(frozen=True)
class Agreement:
    """How a judge did on the planted pairs of one check."""

    check: Check
    way: Way
    pairs: int
    """On which it was measured."""
    good: float
    """Share of good answers that it lets stay."""
    bad: float
    """Share of bad answers that it finds."""
    line: float
    """Score above which an answer is good."""

    @property
    def balanced(self) -> float:
        """Both sides counted half: 0.5 is what guessing gives."""
        return (self.good + self.bad) / 2

    def to_text(self) -> str:
        """One line."""
        return (
            f"judge, {self.check}, {self.way}: {self.balanced:.0%} of {2 * self.pairs} planted answers told apart "
            f"({self.good:.0%} of the good, {self.bad:.0%} of the bad)"
        )


def planted_pairs() -> dict[Check, list[Pair]]:
    """The pairs that come along."""
    data = json.loads(PAIRS.read_text(encoding="utf-8"))
    return {check: [_pair(entry) for entry in data[check]] for check in CHECKS}


def measure(judge: Judge, pairs: Sequence[Pair], check: Check, way: Way, progress: Progress | None = None) -> Agreement:
    """The line and the agreement of one check in one way. `progress` is told how many pairs are done."""
    scores: list[tuple[float, float]] = []
    for number, pair in enumerate(pairs):
        if progress is not None:
            progress(f"judge, {check}, {way}: planted pair", number, len(pairs))
        good, bad = judge.score(way, check, pair.good), judge.score(way, check, pair.bad)
        assert good is not None
        assert bad is not None
        scores.append((good, bad))
    line = best_line([good for good, _ in scores[::2]], [bad for _, bad in scores[::2]])
    held = scores[1::2]
    found = sum(good > line for good, _ in held), sum(bad <= line for _, bad in held)
    return Agreement(check, way, len(held), found[0] / len(held), found[1] / len(held), line)


def best_line(good: Sequence[float], bad: Sequence[float]) -> float:
    """The line that parts two sets of numbers best, both counted half; in the middle of its gap."""
    places = sorted({*good, *bad})
    lines = [places[0] - 1, *((left + right) / 2 for left, right in pairwise(places))]
    return max(
        lines,
        key=lambda line: (
            sum(value > line for value in good) / len(good) + sum(value <= line for value in bad) / len(bad)
        ),
    )


def usable(agreements: Sequence[Agreement], least: float, name: str) -> tuple[Agreement, ...]:
    """Of each check the better way, where it can be trusted. Raises MagicVLError for a judge that is none."""
    best = {check: max((each for each in agreements if each.check == check), key=_balanced) for check in CHECKS}
    good = tuple(each for each in best.values() if each.balanced >= least)
    if not good:
        said = ", ".join(f"{each.check} {each.balanced:.0%}" for each in best.values())
        raise MagicVLError(
            f"{name}: it cannot judge: it tells planted good answers from bad ones in {said}, where {least:.0%} are "
            f"due and 50% is guessing; give a larger model, or leave --judge out"
        )
    return good


def _balanced(agreement: Agreement) -> float:
    return agreement.balanced


def _pair(entry: dict[str, str]) -> Pair:
    return Pair(*(Case(entry["prompt"], entry[side], entry["facts"]) for side in ("good", "bad")))
