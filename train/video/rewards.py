"""What an answer about a film is worth: form, think part and caption, each 0 to 1, and what looks like cheating.

The scores are magicvl.train.rewards'; here they meet token ids, and TRL's way to ask for rewards. What is no
description has neither think part nor caption. Times are measured and not rewarded: at the edge a grammar keeps them,
and where they counted as form, answers lost their actions (see LOG).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from magicvl.edge.video.description import Description
from magicvl.train.rewards.embedding import Embedder, EmbeddingSimilarity
from magicvl.train.rewards.entailment import WordEntailer
from magicvl.train.rewards.event_score import CaptionScorer, EventScore, EventScorer
from magicvl.train.rewards.format_score import read_or_none, times_score
from magicvl.train.rewards.hacking import Signs
from magicvl.train.rewards.similarity import LemmaSimilarity, Similarity
from magicvl.train.rewards.think_score import think_score
from magicvl.train.video.films import Film, Films
from magicvl.train.video.settings import Rewards

RewardFunction = Callable[..., list[float | None]]
LogMetric = Callable[[str, float], None]
REWARDS = ("format", "think", "event", "coverage", "event_f1")
"""Names of the rewards, in the order in which TRL has them."""


@dataclass(frozen=True)
class Worth:
    """Of one answer; each 0 to 1."""

    format: float
    """1 for a description, whatever its times."""
    frame_times: float
    """1 where all its times are frames'; no reward is given for it."""
    think: float
    attributes: float
    """F1; names among them."""
    actions: float
    """F1."""
    event: float
    coverage: float
    """Share of the events that the caption tells, before it is stepped."""
    event_f1: float
    """Of the caption's clauses and the events."""


NOTHING = Worth(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Scorer:
    """Scores answers by fixed measures."""

    def __init__(self, similarity: Similarity, captions: CaptionScorer) -> None:
        self.similarity, self.captions = similarity, captions

    def score(self, films: Sequence[Film], texts: Sequence[str]) -> list[Worth]:
        """One for each text about the film beside it."""
        read = [read_or_none(text, film.times, tracks=film.tracks) for film, text in zip(films, texts, strict=True)]
        whole = [(place, found) for place, found in enumerate(read) if found is not None]
        worths = [NOTHING] * len(texts)
        references = [films[place].reference for place, _ in whole]
        told = self.captions.score([found.caption for _, found in whole], references)
        for (place, found), event in zip(whole, told, strict=True):
            frame_times = times_score(texts[place], films[place].times, tracks=films[place].tracks)
            worths[place] = self._worth(found, frame_times, films[place], event)
        return worths

    @staticmethod
    def signs(films: Sequence[Film], texts: Sequence[str]) -> dict[str, float]:
        """What would show that rewards are cheated, of the texts that are descriptions together."""
        read = (read_or_none(text, film.times, tracks=film.tracks) for film, text in zip(films, texts, strict=True))
        return Signs.of([found for found in read if found is not None]).to_log()

    def _worth(self, found: Description, frame_times: float, film: Film, event: EventScore) -> Worth:
        think = think_score(found, film.reference, self.similarity)
        think_parts = think.value, think.attributes.value, think.actions.value
        return Worth(1.0, frame_times, *think_parts, event.value, event.coverage, event.f1)


def make_scorer(rewards: Rewards) -> Scorer:
    """What scores as the settings say, without network and language model."""
    embedder = Embedder() if rewards.similarity == "embedding" else None
    similarity = LemmaSimilarity() if embedder is None else EmbeddingSimilarity(embedder)
    return Scorer(similarity, EventScorer(WordEntailer(embedder)))


def spelled(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of an answer without the token that ends it; special tokens stand in it as what they are."""
    kept = list(ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids)
    return str(tokenizer.decode(kept, skip_special_tokens=False))


def reward_functions(films: Films, scorer: Scorer) -> list[RewardFunction]:
    """The rewards as TRL calls them, one after another with the same answers: they are scored once."""
    batch = _Batch(films, scorer)
    return [_reward(name, batch) for name in REWARDS]


class _Batch:
    """The answers of one step and what they are worth."""

    def __init__(self, films: Films, scorer: Scorer) -> None:
        self._films, self._scorer = films, scorer
        self._answers: Any = None
        self._worths: list[Worth] = []

    def worths(self, prompts: Sequence[str], answers: Sequence[Sequence[int]], log: LogMetric) -> list[Worth]:
        """Scores them, unless they are the ones that were scored last; what looks like cheating goes to the log."""
        if answers is not self._answers:
            films = [self._films[int(prompt)] for prompt in prompts]
            texts = [spelled(each, self._films.processor.tokenizer) for each in answers]
            self._worths, self._answers = self._scorer.score(films, texts), answers
            for name, value in self._scorer.signs(films, texts).items():
                log(f"signs/{name}", value)
        return self._worths


def _reward(name: str, batch: _Batch) -> RewardFunction:
    def reward(
        prompts: list[str], completion_ids: list[list[int]], log_metric: LogMetric, **_: Any
    ) -> list[float | None]:
        return [float(getattr(worth, name)) for worth in batch.worths(prompts, completion_ids, log_metric)]

    # What the log calls it.
    reward.__name__ = name
    return reward
