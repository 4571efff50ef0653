"""A language model that says whether an answer makes sense, and whether facts support it.

Any GGUF file that llama.cpp runs, in one of two ways:

    asked        it may say Yes or No and nothing else: log p(Yes) - log p(No)
    likelihood   how much likelier the answer is behind its question (with the facts) than behind none (without them),
                 a token: (log p(answer | question) - log p(answer | none)) / tokens

A small model that cannot follow an instruction can still tell by the second what belongs together. Where the line is
differs from model to model, so it is drawn on planted pairs (magicvl.train.filters.planted), which also show whether
the model can judge at all, and which way is the better one.

The planted pairs are plain talk. What only a picture explains (printed words, numbers, names) is no likelier behind its
question, so that a small model takes good answers of that kind for bad ones: see the report's examples before the
judge's word is taken for such a source.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Context, Floats, Model
from magicvl.edge.prompt import Message, Text, render
from magicvl.edge.request import chat_template
from magicvl.edge.threads import default_threads
from magicvl.train.filters.judge_prompt import MOST_CHARACTERS, WORDS, Case, Check, both_sides, messages

Way = Literal["asked", "likelihood"]
WAYS: tuple[Way, ...] = get_args(Way)
Numbers = npt.NDArray[np.float64]

MOST_TOKENS = 4_096
"""Of a case with its frame."""


class Judge(Protocol):
    """Says how sure it is that an answer is good."""

    def score(self, way: Way, check: Check, case: Case) -> float | None:
        """More is better; None for a case that is too long."""


class LlmJudge:
    """A GGUF file as a judge. Close it, or use it in a `with`."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads the model. Raises BundleError for a file that is damaged or has no chat template, EngineError."""
        file = read_gguf(path)
        self._template = chat_template(file)
        self._render(messages("coherence", Case("?", "!")))
        self._model = Model(path)
        self._context = Context(self._model, MOST_TOKENS, threads or default_threads())
        self._held: list[int] = []
        """Tokens whose keys and values the context has."""

    def close(self) -> None:
        """Frees the model."""
        self._context.close()
        self._model.close()

    def __enter__(self) -> "LlmJudge":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def score(self, way: Way, check: Check, case: Case) -> float | None:
        """More is better; None for a case that is too long."""
        if way == "asked":
            said = self.said(messages(check, case), WORDS)
            return None if said is None else said[0] - said[1]
        return self.gain(*both_sides(check, case), case.answer)

    def said(self, asked: Sequence[Message], words: Sequence[str]) -> list[float] | None:
        """Log probability of each word as what it answers; None where there is no room."""
        frame = self._tokens(asked)
        found = [self._behind(frame, self._model.tokenise(word, special=False)) for word in words]
        known = [each for each in found if each is not None]
        return known if len(known) == len(words) else None

    def gain(self, with_it: Sequence[Message], without: Sequence[Message], answer: str) -> float | None:
        """How much likelier an answer is behind one conversation than behind another, in nats a token.

        None where there is no room, or no answer.
        """
        more, less = (self.likelihood(asked, answer) for asked in (with_it, without))
        return None if more is None or less is None else more - less

    def likelihood(self, asked: Sequence[Message], answer: str) -> float | None:
        """Log probability of an answer, in nats a token; None where there is no room, or no answer."""
        tokens = self._model.tokenise(answer[:MOST_CHARACTERS], special=False)
        found = self._behind(self._tokens(asked), tokens) if tokens else None
        return None if found is None else found / len(tokens)

    def _tokens(self, asked: Sequence[Message]) -> list[int]:
        return [
            token
            for segment in self._render(asked)
            for token in self._model.tokenise(segment.text, special=segment.special)
        ]

    def _render(self, asked: Sequence[Message]) -> list[Text]:
        template = self._template
        said = render(template.template, asked, bos=template.bos, eos=template.eos)
        return [segment for segment in said if isinstance(segment, Text)]

    def _behind(self, frame: list[int], said: list[int]) -> float | None:
        """Log probability of some tokens behind others; None where there is no room for them."""
        if len(frame) + len(said) > self._context.size:
            return None
        first = float(self._read(frame)[said[0]])
        if len(said) == 1:
            return first
        self._held = []
        rest = float(self._context.push_scored(said).sum())
        self._held = frame
        return first + rest

    def _read(self, tokens: list[int]) -> Numbers:
        """Log probabilities of what follows; the beginning that the last case shared is not read again."""
        same = 0
        while same < min(len(tokens) - 1, len(self._held)) and tokens[same] == self._held[same]:
            same += 1
        kept = same if self._context.select(0, same) else 0
        self._held = []
        self._context.push_tokens(tokens[kept:], logits=True)
        self._held = tokens
        return _log_softmax(self._context.logits())


def _log_softmax(logits: Floats) -> Numbers:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    found: Numbers = wide - np.log(np.exp(wide).sum())
    return found
