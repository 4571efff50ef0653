"""A conversation: turns over pictures, of which each is read once.

Its keys and values stay in the engine as long as there is room, so a turn costs what is new in it. Where they
had to go they are computed again, from tiles that the engine's cache may still know.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Unpack

from magicvl.edge.answer import Answer, OptionArguments, Options, Progress, drain
from magicvl.edge.pixels import PictureSource
from magicvl.edge.prompt import Message, Picture, Spoken
from magicvl.edge.request import CutPicture, Request, as_pictures
from magicvl.errors import EngineError, UsageError

if TYPE_CHECKING:
    from magicvl.edge.engine import Engine

Overflow = Literal["error", "drop"]
"""Where a turn does not fit into the context: an error, or the oldest turns are left out."""


@dataclass(frozen=True)
class Turn:
    """What was asked, about which new pictures, and what was answered."""

    prompt: str
    pictures: tuple[CutPicture, ...]
    budget: int | None
    """Most visual tokens of each of these pictures."""
    answer: Spoken


class Session:
    """A conversation with an engine. Closing the engine ends it; `close` gives its memory up before."""

    def __init__(self, engine: "Engine", *, system: str | None = None, overflow: Overflow = "error") -> None:
        """`system` goes before the first turn. Raises UsageError for an unknown `overflow`."""
        if overflow not in ("error", "drop"):
            raise UsageError(f"overflow {overflow!r}: it must be 'error' or 'drop'")
        self.engine = engine
        self.system = system
        self.overflow = overflow
        self.turns: tuple[Turn, ...] = ()
        """The turns that are over and still in view, oldest first."""
        self.owner = object()
        """Whom the engine keeps the keys and values for."""

    def ask(
        self,
        prompt: str,
        pictures: PictureSource | Sequence[PictureSource] = (),
        **options: Unpack[OptionArguments],
    ) -> str:
        """The next answer's text; options as in `Engine.stream`."""
        return self.answer(prompt, pictures, Options(**options)).text

    def answer(
        self, prompt: str, pictures: PictureSource | Sequence[PictureSource] = (), options: Options | None = None
    ) -> Answer:
        """The next answer with plans, token counts and timings."""
        return drain(self.start(prompt, pictures, options))

    def stream(
        self, prompt: str, pictures: PictureSource | Sequence[PictureSource] = (), options: Options | None = None
    ) -> Iterator[str]:
        """The next answer's text piece by piece. A turn that is not read to its end is not part of the conversation."""
        return self.start(prompt, pictures, options)

    def start(
        self,
        prompt: str,
        pictures: PictureSource | Sequence[PictureSource] = (),
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> Generator[str, None, Answer]:
        """As `stream`, reporting progress as `Engine.start` does; the generator returns the Answer.

        Raises PictureError, UsageError, EngineError; the conversation stays as it was.
        """
        started = time.perf_counter()
        options = options or Options()
        seen = tuple(self.engine.opened.cut(source, options.budget) for source in as_pictures(pictures))
        request, left = self._fit(prompt, seen, options)
        pieces = self.engine.generate(request, options, self.owner, started, progress)
        return self._finish(Turn(prompt, seen, options.budget, Spoken("", ())), left, pieces)

    def close(self) -> None:
        """Gives up the memory that the engine keeps for this conversation; it can still be gone on with."""
        self.engine.leave(self.owner)

    def _finish(
        self, turn: Turn, left: tuple[Turn, ...], pieces: Generator[str, None, Answer]
    ) -> Generator[str, None, Answer]:
        answer = yield from pieces
        dropped = len(self.turns) - len(left)
        self.turns = (*left, replace(turn, answer=Spoken(answer.text, answer.tokens)))
        return replace(answer, dropped_turns=dropped)

    def _fit(self, prompt: str, seen: tuple[CutPicture, ...], options: Options) -> tuple[Request, tuple[Turn, ...]]:
        """The request, and the turns before it that are still in view."""
        turns = self.turns
        while True:
            try:
                request = self._read(turns, prompt, seen)
            except EngineError:
                if self.overflow == "error" or not turns:
                    raise
            else:
                fits = request.tokens + options.max_tokens <= self.engine.context
                if fits or self.overflow == "error" or not turns:
                    return request, turns
            turns = turns[1:]

    def _read(self, turns: Sequence[Turn], prompt: str, seen: Sequence[CutPicture]) -> Request:
        messages = [] if self.system is None else [Message("system", (self.system,))]
        pictures: list[CutPicture] = []

        def user(words: str, shown: Sequence[CutPicture]) -> Message:
            places = map(Picture, range(len(pictures), len(pictures) + len(shown)))
            pictures.extend(shown)
            return Message("user", (*places, words))

        for turn in turns:
            messages += [user(turn.prompt, turn.pictures), Message("assistant", (turn.answer,))]
        messages.append(user(prompt, seen))
        return self.engine.read(messages, pictures)
