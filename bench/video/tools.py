"""What says of texts what is right: words and a sentence embedding, or a language model where one is given.

Judges have the names that magicvl.train.rewards.open_judge knows them by, and are tried on planted truths before they
are trusted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from magicvl.bench.video.answer_words import AnswerWords
from magicvl.bench.video.answers_part import Answerer
from magicvl.bench.video.judged_answers import JudgedAnswers
from magicvl.bench.video.object_words import ObjectWords
from magicvl.bench.video.told_events import told_events
from magicvl.bench.video.told_part import Extract
from magicvl.train.rewards.agreement import Agreement, Progress, measure, require
from magicvl.train.rewards.embedding import Embedder, EmbeddingSimilarity
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_score import Asked, Entailer
from magicvl.train.rewards.open_judge import PLAIN, open_model, trusted_judge
from magicvl.train.rewards.planted import planted_films
from magicvl.train.rewards.similarity import LemmaSimilarity, Similarity

JUDGE = "embedding"
"""Where nothing else is said."""


@dataclass(frozen=True)
class Tools:
    """All that parts of a score ask."""

    entailer: Entailer
    """Whether captions tell events."""
    objects: Entailer
    """Whether captions name objects."""
    similarity: Similarity
    extract: Extract
    """The events in a caption."""
    answerer: Answerer
    agreement: Agreement
    """How the entailer does on planted truths."""


@contextmanager
def open_tools(judge: str, kept: Path | None, threads: int | None, progress: Progress | None) -> Iterator[Tools]:
    """The tools of a judge; `kept` is a folder for a language model's verdicts.

    Raises UsageError for a name that is none, MagicVLError for a model that cannot judge, BundleError.
    """
    if judge in PLAIN:
        yield plain_tools(embedding=judge == JUDGE)
        return
    with open_model(judge, kept, threads) as opened:
        entailer, agreement = trusted_judge(opened, progress)
        yield Tools(
            entailer,
            NamedObjects(entailer),
            EmbeddingSimilarity(),
            told_events,
            JudgedAnswers(opened.model),
            agreement,
        )


def plain_tools(*, embedding: bool) -> Tools:
    """Words, and with `embedding` the sentence embedding too. Raises MagicVLError where its packages are missing.

    Events may be told in any order: the reward that models are trained with asks for the order too, so that training
    and measurement are not one and the same rule.
    """
    embedder = Embedder() if embedding else None
    entailer = WordEntailer(embedder, ordered=False)
    return Tools(
        entailer,
        ObjectWords(),
        LemmaSimilarity() if embedder is None else EmbeddingSimilarity(embedder),
        told_events,
        AnswerWords(),
        require(measure(entailer, planted_films())),
    )


def events_judged(tools: Tools) -> str:
    """Who says which events are told, and how far that can be trusted."""
    found = tools.agreement
    return (
        f"events matched by {tools.entailer.name}: of captions made right and wrong it finds {found.told:.0%} of what "
        f"is told and {found.untold:.0%} of what is not"
    )


@dataclass(frozen=True)
class NamedObjects:
    """Asks a language model for objects as for events: that they are there."""

    entailer: Entailer

    @property
    def name(self) -> str:
        """The model's."""
        return self.entailer.name

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        """One verdict an object, for each caption."""
        named = [Asked(each.caption, tuple(f"there is {thing.rstrip('.')}" for thing in each.events)) for each in asked]
        return self.entailer.entails(named)
