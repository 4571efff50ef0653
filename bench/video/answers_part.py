"""Accuracy in the manner of VDCscore (AuroraCap, arXiv 2410.03051): what a caption answers of questions about its film.

A language model answers each question from the caption alone, and compares that with the right answer: right or not,
and a grade of 0 to 5. The score of a film is the share of its questions that are right, and their mean grade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from magicvl.bench.video.item import Pair, VideoItem
from magicvl.bench.video.measures import ANSWERS, GRADE
from magicvl.bench.video.part import Found, Told, Verdict

MOST_GRADE = 5


@dataclass(frozen=True)
class Answered:
    """What came of a question."""

    right: bool
    grade: int | None
    """0 to 5; None where nobody can tell."""


class Answerer(Protocol):
    """Answers questions from captions and marks the answers."""

    @property
    def name(self) -> str:
        """What it is, for reports."""

    def answer(self, caption: str, pairs: Sequence[Pair]) -> list[Answered]:
        """One verdict a question. Raises MagicVLError where it cannot be asked."""


@dataclass(frozen=True)
class AnswersPart:
    """Share of questions that a caption answers rightly."""

    answerer: Answerer

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """Nothing for a film without questions; without a caption all are wrong."""
        if not item.pairs:
            return Found({})
        nothing = [Answered(False, 0)] * len(item.pairs)
        answered = self.answerer.answer(told.caption, item.pairs) if told.caption else nothing
        columns = {ANSWERS: sum(each.right for each in answered) / len(answered)}
        grades = [each.grade for each in answered if each.grade is not None]
        if grades:
            columns[GRADE] = sum(grades) / len(grades) / MOST_GRADE
        verdicts = [
            Verdict("answer", f"{pair.question} {pair.answer}", False, each.right)
            for pair, each in zip(item.pairs, answered, strict=True)
        ]
        return Found(columns, tuple(verdicts))
