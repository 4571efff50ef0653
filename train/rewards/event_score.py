"""What a caption is worth by the events that it tells: coverage, stepped to 0, 0.5 and 1.

Of each event of the reference it is asked whether the caption entails it; the share of those that it does is the
coverage. Below 0.28 it is worth 0, below 0.35 a half, from there on 1 (arXiv 2506.01725; the thresholds are those of
public notes on it). Who says what is entailed is an `Entailer`: a language model, or words and embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from magicvl.errors import SampleError
from magicvl.train.rewards.frames import frames
from magicvl.train.rewards.reference import Reference
from magicvl.train.rewards.words import words

STEPS = (0.28, 0.35)
"""Coverage from which a caption is worth a half, and 1."""
FREE_CLAUSES = 2
"""A caption may tell as much beside the events. What only says who is there is no clause."""
CLAUSE_WORDS = 20
"""A clause of more words counts as several."""


@dataclass(frozen=True)
class Asked:
    """A caption, and the events of which it is asked whether it tells them."""

    caption: str
    events: tuple[str, ...]


class Entailer(Protocol):
    """Says which events a caption tells."""

    @property
    def name(self) -> str:
        """What it is, for reports."""

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        """One verdict an event, for each caption. Raises MagicVLError where nothing can be said."""


@dataclass(frozen=True)
class EventScore:
    """What a caption is worth."""

    value: float
    """0, 0.5 or 1."""
    coverage: float
    """Share of the events that it tells, less what too many clauses cost."""
    told: tuple[bool, ...] = ()
    """Each event of the reference."""
    clauses: int = 0
    """That the caption tells something in."""

    @property
    def f1(self) -> float:
        """Of clauses and events: what is told twice or is not so costs as much as what is left out."""
        return 2 * sum(self.told) / max(1, len(self.told) + self.clauses)


class CaptionScorer(Protocol):
    """A reward for captions."""

    def score(self, captions: Sequence[str], references: Sequence[Reference]) -> list[EventScore]:
        """One score a caption; `references` has as many entries."""


class EventScorer:
    """The event score.

    Coverage alone can be had by a caption that tells everything that might happen. So clauses beyond the number of
    events, and two more, count as events that were not told: `guarded=False` leaves that out, as the paper does.
    """

    def __init__(self, entailer: Entailer, *, guarded: bool = True) -> None:
        self.entailer = entailer
        self._guarded = guarded

    def score(self, captions: Sequence[str], references: Sequence[Reference]) -> list[EventScore]:
        """One score a caption. Raises SampleError for a reference without events."""
        asked = [Asked(caption, _events(reference)) for caption, reference in zip(captions, references, strict=True)]
        return [self._worth(each, told) for each, told in zip(asked, self.entailer.entails(asked), strict=True)]

    def _worth(self, asked: Asked, told: tuple[bool, ...]) -> EventScore:
        number = told_clauses(asked.caption)
        due = max(len(told), number - FREE_CLAUSES) if self._guarded else len(told)
        coverage = sum(told) / due
        return EventScore(stepped(coverage), coverage, told, number)


def told_clauses(caption: str) -> int:
    """How many clauses of a caption tell something; at least as many as its length would hold."""
    return max(len(frames(caption)), len(words(caption)) // CLAUSE_WORDS)


def stepped(coverage: float) -> float:
    """0, 0.5 or 1."""
    half, whole = STEPS
    return 1.0 if coverage >= whole else 0.5 if coverage >= half else 0.0


def _events(reference: Reference) -> tuple[str, ...]:
    if not reference.events:
        raise SampleError("a reference without events; the event score needs at least one")
    return reference.events
