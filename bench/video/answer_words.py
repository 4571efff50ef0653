"""Whether a caption holds the answer of a question, by words: where no language model is good enough to be asked.

A stand-in, and not VDCscore: what an answer says beyond its question has to stand in the caption, whoever it is said
of. Yes and no are never found so. There are no grades.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.bench.video.answers_part import Answered
from magicvl.bench.video.item import Pair
from magicvl.train.rewards.words import content

LEAST_SHARE = 0.6
"""Words of an answer that a caption has to have."""


@dataclass(frozen=True)
class AnswerWords:
    """Looks for the answers' words."""

    name: str = "words (no language model): not VDCscore, whose numbers are no comparison"

    def answer(self, caption: str, pairs: Sequence[Pair]) -> list[Answered]:
        """One verdict a question."""
        said = {word.meaning for word in content(caption)}
        return [Answered(_holds(said, pair), None) for pair in pairs]


def _holds(said: set[str], pair: Pair) -> bool:
    asked = {word.meaning for word in content(pair.question)}
    wanted = {word.meaning for word in content(pair.answer)} - asked
    return bool(wanted) and len(wanted & said) >= LEAST_SHARE * len(wanted)
