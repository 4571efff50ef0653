"""A language model that says which events a caption tells, in one of two ways:

asked        it may say Yes or No and nothing else: log p(Yes) - log p(No)
likelihood   how much likelier the event is behind the caption than behind none, in nats a token (GGUF files only)

Where the line is differs from model to model; it is drawn on planted truths (magicvl.train.rewards.agreement).
The order of events is not judged in either way.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from magicvl.train.rewards.chooser import Chooser
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.gguf_model import GgufModel
from magicvl.train.rewards.judge_prompt import event_question, film_told, film_untold

LEAST_SHARE = 1e-6
"""Of a word, so that one that was never said has a logarithm."""


class EventJudge(Protocol):
    """Says how sure it is that a caption tells an event."""

    @property
    def name(self) -> str:
        """For reports."""

    def sure(self, asked: Sequence[Asked]) -> list[tuple[float, ...]]:
        """One number an event, for each caption; more is surer."""


class AskedJudge:
    """Asks a model Yes or No."""

    def __init__(self, model: Chooser) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The model's, and the way."""
        return f"{self._model.name}, asked"

    def sure(self, asked: Sequence[Asked]) -> list[tuple[float, ...]]:
        """log p(Yes) - log p(No)."""
        questions = [event_question(each.caption, event) for each in asked for event in each.events]
        shares = iter(self._model.choose(questions))
        return [tuple(_odds(*next(shares)) for _ in each.events) for each in asked]


class LikelihoodJudge:
    """Compares how likely a model finds an event with the caption and without."""

    def __init__(self, model: GgufModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The model's, and the way."""
        return f"{self._model.name}, likelihood"

    def sure(self, asked: Sequence[Asked]) -> list[tuple[float, ...]]:
        """Gain in nats a token."""
        return [tuple(self._gain(each.caption, event) for event in each.events) for each in asked]

    def _gain(self, caption: str, event: str) -> float:
        return self._model.gain(film_told(caption), film_untold(), f"{event[:1].upper()}{event[1:]}.")


class JudgedEntailer:
    """A judge with its line."""

    def __init__(self, judge: EventJudge, line: float) -> None:
        self._judge = judge
        self._line = line

    @property
    def name(self) -> str:
        """The judge's."""
        return self._judge.name

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        """One verdict an event, for each caption."""
        return [tuple(each > self._line for each in row) for row in self._judge.sure(asked)]


def _odds(yes: float, no: float) -> float:
    return math.log(max(yes, LEAST_SHARE) / max(no, LEAST_SHARE))
