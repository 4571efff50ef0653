"""How the next token is picked: the likeliest or a sampled one, and where a grammar is given, only what it allows."""

import codecs
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt

from magicvl.edge.answer import Options
from magicvl.edge.llama import Context, Follower, Model, Sampler
from magicvl.errors import EngineError

WINDOW = 256
"""As many of the likeliest tokens are tried before the whole vocabulary is."""
BYTES = 512
"""Vocabularies have a token of each byte among their first: whatever may follow begins with one of these."""


class Picker:
    """Picks tokens by a context's logits, which are checked either way."""

    def __init__(self, sampler: Sampler | None) -> None:
        self._sampler = sampler

    def pick(self, context: Context) -> int:
        """The next token."""
        logits = context.logits()
        return int(np.argmax(logits)) if self._sampler is None else self._sampler.sample(context)

    def complete(self) -> bool:
        """Whether nothing but the end can follow what was picked."""
        return False


class GrammarPicker(Picker):
    """Picks what a grammar allows: the first choice where it does, else the best of the others.

    A sampled token is drawn anew where the grammar forbids it, which is as if only the allowed ones were there;
    with top-p the share is then that of the allowed ones. Beyond the grammar, what is picked spells valid UTF-8:
    llama.cpp reads overlong forms as characters, and a control token as its name, for which the answer has no text.
    """

    def __init__(self, sampler: Sampler | None, model: Model, follower: Follower) -> None:
        super().__init__(sampler)
        self._model = model
        self._follower = follower
        self._begun = b""

    def pick(self, context: Context) -> int:
        """The next token. EngineError where the vocabulary has none that fits."""
        token = super().pick(context)
        if not (self._follower.allowed(np.array([token]))[0] and self._spells(token)):
            logits = context.logits()
            token = self._best(logits) if self._sampler is None else self._draw(self._sampler, logits)
        if not self._model.ends(token):
            self._begun = self._after(token) or b""
            self._follower.accept(token)
        return token

    def complete(self) -> bool:
        """Whether nothing but the end can follow: then there is no need to ask the model for it."""
        every = np.arange(self._model.tokens)
        if any(self._goes_on(part) for part in (every[:BYTES], every[BYTES:])):
            return False
        end = self._model.end_token
        return end >= 0 and bool(self._follower.allowed(every[end : end + 1])[0])

    def _goes_on(self, tokens: npt.NDArray[np.int_]) -> bool:
        allowed = tokens[self._follower.allowed(tokens)]
        return any(not self._model.ends(token) and self._spells(token) for token in allowed.tolist())

    def _best(self, logits: npt.NDArray[np.float32]) -> int:
        top = np.argpartition(-logits, WINDOW)[:WINDOW] if len(logits) > WINDOW else np.arange(len(logits))
        for tokens in (top, np.arange(len(logits))):
            allowed = tokens[self._follower.allowed(tokens)]
            for token in allowed[np.argsort(-logits[allowed], kind="stable")].tolist():
                if self._spells(token):
                    return int(token)
        raise self._stuck()

    def _draw(self, sampler: Sampler, logits: npt.NDArray[np.float32]) -> int:
        tokens = np.arange(len(logits))
        tokens = tokens[self._follower.allowed(tokens)]
        while len(tokens):
            token = sampler.draw(tokens, logits[tokens])
            if self._spells(token):
                return token
            tokens = tokens[tokens != token]
        raise self._stuck()

    def _spells(self, token: int) -> bool:
        return self._model.ends(token) or self._after(token) is not None

    def _after(self, token: int) -> bytes | None:
        """What a token leaves of a character begun; None where it is no text."""
        piece = self._model.piece(token)
        if not piece or b"\0" in piece:
            return None
        data = self._begun + piece
        try:
            _, read = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            return None
        return data[read:]

    def _stuck(self) -> EngineError:
        return EngineError(
            "no token of this model can go on as the schema, choices or regex demand: its vocabulary cannot spell it"
        )


@contextmanager
def picker(options: Options, model: Model) -> Iterator[Picker]:
    """The picker for one answer."""
    with ExitStack() as owned:
        sampler = None
        if options.temperature > 0:
            seed = secrets.randbelow(2**32 - 1) if options.seed is None else options.seed
            sampler = owned.enter_context(Sampler(options.temperature, options.top_p, seed))
        if options.grammar is None:
            yield Picker(sampler)
        else:
            yield GrammarPicker(sampler, model, owned.enter_context(Follower(model, options.grammar.gbnf)))
