"""The second variant of the caption reward: how complete a caption is, and how natural its language.

    completeness   a judge marks 1 to 5 how much of the reference the caption tells; what is wrong is not told
    naturalness    a judge marks 1 to 5; or, by the likelihood of the caption under a GGUF file, a logistic curve from 0
                   to 1 whose middle and width are those between good and broken planted captions

Marks are the mean of 1 to 5 by the shares that the judge gives to each, and 1 to 5 is told as 0 to 1. The value is the
mean of both. The paper (arXiv 2506.01725) had the event score ahead of this one on average, and no scales published.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from magicvl.errors import SampleError
from magicvl.train.rewards.broken import BROKEN, broken
from magicvl.train.rewards.chooser import Chooser, Question
from magicvl.train.rewards.gguf_model import GgufModel
from magicvl.train.rewards.judge_prompt import MARKS, completeness_question, film_asked, naturalness_question
from magicvl.train.rewards.planted import sentences_of
from magicvl.train.rewards.reference import Reference


@dataclass(frozen=True)
class WholeScore:
    """What a caption is worth, each from 0 to 1."""

    completeness: float
    naturalness: float

    @property
    def value(self) -> float:
        """Mean of both."""
        return (self.completeness + self.naturalness) / 2


class Naturalness(Protocol):
    """Says how natural texts are."""

    def natural(self, captions: Sequence[str]) -> list[float]:
        """0 to 1, one a caption."""


class WholeScorer:
    """Completeness and naturalness."""

    def __init__(self, model: Chooser, naturalness: Naturalness) -> None:
        self._model = model
        self._naturalness = naturalness

    def score(self, captions: Sequence[str], references: Sequence[Reference]) -> list[WholeScore]:
        """One score a caption. Raises SampleError for a reference without caption and events."""
        whole = complete(self._model, captions, [_told(each) for each in references])
        natural = self._naturalness.natural(captions)
        return [WholeScore(*each) for each in zip(whole, natural, strict=True)]


class AskedNaturalness:
    """By marks."""

    def __init__(self, model: Chooser) -> None:
        self._model = model

    def natural(self, captions: Sequence[str]) -> list[float]:
        """0 to 1, one a caption."""
        return _marks(self._model, [naturalness_question(each) for each in captions])


class LikelyNaturalness:
    """By likelihood, in nats a token, on a logistic curve."""

    def __init__(self, model: GgufModel, good: float, broken: float) -> None:
        """The curve is laid through the means of good and broken captions: halfway it gives a half."""
        self._model = model
        self._middle = (good + broken) / 2
        self._width = max((good - broken) / 4, 1e-3)

    def natural(self, captions: Sequence[str]) -> list[float]:
        """0 to 1, one a caption."""
        likely = [self._model.likelihood(film_asked(), each) for each in captions]
        return [_logistic((each - self._middle) / self._width) for each in likely]


def likely_naturalness(model: GgufModel, good: Sequence[str]) -> LikelyNaturalness:
    """The curve of a model, by good captions and what is left of them when they are broken."""
    worse = [broken(kind, each) for kind in BROKEN for each in good]
    means = [sum(model.likelihood(film_asked(), each) for each in side) / len(side) for side in (good, worse)]
    return LikelyNaturalness(model, means[0], means[1])


def complete(model: Chooser, captions: Sequence[str], references: Sequence[str]) -> list[float]:
    """How complete captions are, 0 to 1, by marks."""
    asked = [completeness_question(*pair) for pair in zip(captions, references, strict=True)]
    return _marks(model, asked)


def _marks(model: Chooser, questions: Sequence[Question]) -> list[float]:
    most = len(MARKS) - 1
    return [
        sum(mark * share for mark, share in enumerate(shares)) / most / sum(shares)
        for shares in model.choose(questions)
    ]


def _told(reference: Reference) -> str:
    told = reference.caption or sentences_of(reference.events)
    if not told:
        raise SampleError("a reference without caption and events; completeness needs one of them")
    return told


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
