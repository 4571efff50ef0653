"""A GGUF file as a chooser: the next word is constrained to those that may be said, by their likelihoods."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from magicvl.edge.known_hashes import known_sha256
from magicvl.edge.prompt import Message
from magicvl.errors import SampleError
from magicvl.train.filters.judge import LlmJudge
from magicvl.train.rewards.chooser import Question


class GgufModel:
    """Any chat model that llama.cpp runs, in this process. Close it, or use it in a `with`."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads the model. Raises BundleError for a file that is damaged or has no chat template, EngineError."""
        self._judge = LlmJudge(path, threads)
        self.name = f"{path.name} {known_sha256(path)[:12]}"

    def close(self) -> None:
        """Frees the model."""
        self._judge.close()

    def __enter__(self) -> "GgufModel":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        """Shares of each question's words. Raises SampleError for a conversation that is too long."""
        return [self._shares(question) for question in questions]

    def gain(self, with_it: Sequence[Message], without: Sequence[Message], answer: str) -> float:
        """How much likelier an answer is behind one conversation than behind another, in nats a token."""
        return _known(self._judge.gain(with_it, without, answer), answer)

    def likelihood(self, asked: Sequence[Message], answer: str) -> float:
        """Log probability of an answer behind a conversation, in nats a token."""
        return _known(self._judge.likelihood(asked, answer), answer)

    def _shares(self, question: Question) -> tuple[float, ...]:
        found = self._judge.said(question.messages, question.words)
        if found is None:
            raise SampleError("a caption and its events are too long for the judge; cut the reference")
        likely = np.exp(np.array(found) - max(found))
        return tuple((likely / likely.sum()).tolist())


def _known(value: float | None, answer: str) -> float:
    if value is None:
        raise SampleError(
            f"a text of {len(answer):,} characters has no room in the judge, or no words: {answer[:60]!r}"
        )
    return value
