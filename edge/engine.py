"""The engine: a bundle, pictures and a prompt in, an answer out.

bundle --check--> Runtime     pictures + prompt --prepare--> [ids, tile, ids, tile, ids] --Runtime--> text

What runs the model, in this process or beside it, is a `magicvl.edge.runtime.Runtime`.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, cast

import numpy as np

from magicvl.edge.answer import Answer, FinishReason, OptionArguments, Options, Progress, Timings, Usage, drain
from magicvl.edge.bundle import read_bundle
from magicvl.edge.calibration_file import best_threads
from magicvl.edge.decoding import KEY_TYPES
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.grammar import Grammar
from magicvl.edge.known_hashes import known_sha256
from magicvl.edge.memory import check_memory
from magicvl.edge.opened import OpenedPictures
from magicvl.edge.pair import check_lora, check_pair
from magicvl.edge.pixels import PictureSource
from magicvl.edge.plan import Plan
from magicvl.edge.prompt import Message, ask_messages
from magicvl.edge.request import CutPicture, Request, as_pictures, chat_template, open_and_cut, prepare
from magicvl.edge.runtime import Clock, Runtime, Setup, choose
from magicvl.edge.sequences import Sequences
from magicvl.edge.server.runtime import IDLE_SECONDS, ServerRuntime, first_room
from magicvl.edge.session import Overflow, Session
from magicvl.edge.session_file import load_session, save_session
from magicvl.edge.tile_cache import DISK_BYTES, MEMORY_BYTES, Floats, TileCache
from magicvl.edge.variant import ServerProgram
from magicvl.edge.video.asked import CaptionArguments
from magicvl.edge.video.asked import asked as make_asked
from magicvl.errors import CutShortError, EngineError, UsageError

if TYPE_CHECKING:
    from magicvl.edge.inproc import InProcess
    from magicvl.edge.llama import Context
    from magicvl.edge.video.captioned import Captioned
    from magicvl.edge.video.open_film import FilmSource

Pictures = PictureSource | Sequence[PictureSource]

MOST_SEQUENCES = 64
"""Conversations of one engine; llama.cpp counts them in a fixed table."""


class Engine:
    """A loaded bundle. One request at a time; close it, or use it in a `with`."""

    def __init__(  # noqa: PLR0913 - each option is a parameter
        self,
        bundle: str | os.PathLike[str],
        *,
        threads: int | None = None,
        context: int | None = None,
        sequences: int = 1,
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        key_type: str = "f16",
        runtime: str = "auto",
        idle_seconds: float | None = None,
    ) -> None:
        """Checks the bundle in `bundle` and loads it.

        `threads` defaults to what `magicvl.edge.calibrate` found to be the fastest, or the fast cores; `context`
        is the most tokens of prompt and answer together, by default what the model was made for. `sequences` is how
        many conversations keep their keys and values at once, within `context` tokens together. `cache` is a folder
        where visual tokens are kept for other processes, in about `cache_bytes`, by default 1 GiB; in memory they
        take `memory_bytes` at most. `key_type` is that of the keys that the decoder keeps of what it read: f16, or
        q8_0, which takes a quarter off the memory of keys and values.

        `runtime` is what computes: inproc, llama.cpp in this process; server, a llama-server of our own beside it;
        auto takes the first of them that is to be had. A server keeps no tiles beyond its conversations (`cache`
        and `memory_bytes` are for inproc), and stops after `idle_seconds` without a question, by default ten minutes,
        until the next one; inf lets it run.

        Raises BundleError before native code sees a file that is damaged or does not fit, EngineError where native
        code refuses it or there is none, UsageError.
        """
        started = time.perf_counter()
        found = read_bundle(bundle)
        self.lock = found.lock
        self.threads = best_threads(self.lock) if threads is None else threads
        self.context = self.lock.language.context if context is None else context
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads: it must be at least 1")
        if not 1 <= self.context <= self.lock.language.context:
            raise UsageError(
                f"a context of {self.context:,} tokens: the model's is 1 to {self.lock.language.context:,}"
            )
        if not 1 <= sequences <= MOST_SEQUENCES:
            raise UsageError(f"{sequences} sequences: it must be 1 to {MOST_SEQUENCES}")
        if key_type not in KEY_TYPES:
            raise UsageError(f"keys in {key_type!r}: there are {', '.join(KEY_TYPES)}")
        self.key_type = key_type
        if cache_bytes is not None and cache is None:
            raise UsageError(f"a cache of {cache_bytes} bytes has no effect without a folder: set cache, or drop it")
        if cache_bytes is not None and cache_bytes < 1:
            raise UsageError(f"a cache of {cache_bytes} bytes: it must be at least 1")
        chosen = choose(runtime)
        serving = isinstance(chosen, ServerProgram)
        if serving and (cache is not None or memory_bytes != MEMORY_BYTES):
            what = f"cache {cache}" if cache is not None else f"{memory_bytes} bytes of memory for tiles"
            raise UsageError(f"{what}: llama-server keeps no tiles; drop it, or use the runtime inproc")
        if idle_seconds is not None and not (serving and idle_seconds > 0):
            reason = "it must be above 0" if serving else "the runtime inproc has nothing to stop"
            raise UsageError(f"idle seconds {idle_seconds:g}: {reason}")
        found.verify(known_sha256)
        llm, mmproj = read_gguf(found.path("llm")), read_gguf(found.path("mmproj"))
        check_pair(self.lock, llm, mmproj)
        lora = read_gguf(found.path("lora")) if "lora" in self.lock.files else None
        captions = read_gguf(found.path("caption_lora")) if "caption_lora" in self.lock.files else None
        for adapter in (lora, captions):
            if adapter is not None:
                check_lora(llm, adapter)
        # A server loads everything at once; in process the caption adapter comes with the first film.
        room = first_room(self.context) if serving else None
        check_memory(found, llm, mmproj, room, key_type=key_type, captions=serving)
        self._template = chat_template(llm)
        self._busy = threading.Lock()
        self.opened = OpenedPictures(self.lock)
        setup = Setup(
            self.lock,
            llm,
            mmproj.path,
            None if lora is None else lora.path,
            self.threads,
            self.context,
            sequences,
            key_type,
            None if captions is None else captions.path,
        )
        self.runtime: Runtime
        if isinstance(chosen, ServerProgram):
            self.runtime = ServerRuntime(setup, chosen, IDLE_SECONDS if idle_seconds is None else idle_seconds)
        else:
            tiles = TileCache(memory_bytes, None if cache is None else Path(cache), cache_bytes or DISK_BYTES)
            self.runtime = chosen(setup, tiles)
        self.build = self.runtime.build
        self._load_ms = (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Frees the model; the engine is of no use afterwards."""
        self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        pictures: Pictures,
        prompt: str,
        *,
        system: str | None = None,
        **options: Unpack[OptionArguments],
    ) -> str:
        """The answer's text. Pictures and options as in `stream`."""
        return drain(self.start(pictures, prompt, Options(**options), system=system)).text

    def answer(
        self,
        pictures: Pictures,
        prompt: str,
        *,
        system: str | None = None,
        **options: Unpack[OptionArguments],
    ) -> Answer:
        """The answer with plans, token counts and timings. Pictures and options as in `stream`."""
        return drain(self.start(pictures, prompt, Options(**options), system=system))

    def stream(
        self,
        pictures: Pictures,
        prompt: str,
        *,
        system: str | None = None,
        **options: Unpack[OptionArguments],
    ) -> Iterator[str]:
        """The answer's text piece by piece, each as soon as it is there.

        A picture is a path, the bytes of a file, or a Pillow image; one alone or several in order.
        `max_tokens` bounds the answer, `budget` the visual tokens of each picture. `temperature` 0 is
        greedy; `top_p` and `seed` need one above 0. `schema` (a dictionary or the path of a file), `choices` or
        `regex`, one of them, is what the answer fulfils; one cut short is an error then. `system` goes before
        the user's turn.
        Raises PictureError, UsageError, EngineError.
        """
        return self.start(pictures, prompt, Options(**options), system=system)

    def start(
        self,
        pictures: Pictures,
        prompt: str,
        options: Options,
        *,
        system: str | None = None,
        progress: Progress | None = None,
        planned: Callable[[Sequence[Plan]], None] | None = None,
    ) -> Generator[str, None, Answer]:
        """As `stream`, reporting progress; the generator returns the Answer.

        `planned` is told how the pictures are cut, before any is looked at.
        """
        started = time.perf_counter()
        request = self._prepare(pictures, prompt, options.budget, system)
        if planned is not None:
            planned(request.plans)
        return self.generate(request, options, None, started, progress)

    def caption(
        self, film: "FilmSource", *, progress: Progress | None = None, **asked: Unpack[CaptionArguments]
    ) -> "Captioned":
        """What is seen in a film: its subjects with their attributes and actions, and a caption.

        `film` is the path of a film file (with the extra `video`), of a GIF, animated WebP or PNG, or of a folder of
        pictures, or a `magicvl.edge.video.film.Film`. `frames` are looked at, chosen by `choose` (`uniform`, `scenes`)
        from `start` to `end` in seconds; `budget` bounds their visual tokens together; at most `window` are described
        at once. `fps` is of a folder. The rest is as in `stream`, for each window.
        Raises FilmError, PictureError, UsageError, EngineError.
        """
        from magicvl.edge.video.caption import Watcher, caption

        return caption(self, film, make_asked(**asked), Watcher(progress or silent))

    def session(self, *, system: str | None = None, overflow: Overflow = "error") -> Session:
        """A conversation of several turns; see `magicvl.edge.session.Session`."""
        return Session(self, system=system, overflow=overflow)

    def open_session(self, path: str | os.PathLike[str]) -> Session:
        """A conversation that `save_session` wrote, as it was. Raises UsageError."""
        return load_session(self, Path(path))

    def save_session(self, session: Session, path: str | os.PathLike[str], *, most_state: int | None = None) -> bool:
        """Writes a conversation with all that going on with it needs. Raises UsageError.

        Keys and values are left out where they are more than `most_state` bytes; who opens it computes them again.
        Returns whether they are in it.
        """
        with self._alone():
            return save_session(session, Path(path), most_state)

    @property
    def inproc(self) -> "InProcess":
        """What runs the model in this process. Raises UsageError where a llama-server does."""
        if isinstance(self.runtime, ServerRuntime):
            raise UsageError("embeddings, logits and measurements are not to be had of llama-server: use inproc")
        return cast("InProcess", self.runtime)

    @property
    def sequences(self) -> Sequences:
        """What the decoder holds; in this process only."""
        return self.inproc.sequences

    @property
    def tiles(self) -> TileCache:
        """The visual tokens of tiles that were looked at; in this process only."""
        return self.inproc.tiles

    def make_context(self, size: int, sequences: int) -> "Context":
        """A context of the decoder, adapter and all; the caller closes it. In this process only."""
        return self.inproc.make_context(size, sequences)

    def embed(self, picture: PictureSource, budget: int | None = None) -> list[Floats]:
        """The visual tokens of each tile of a picture: float32 (tokens, width of the decoder); in this process only."""
        _, tiles = open_and_cut(picture, self.lock, budget)
        with self._alone():
            return [self.inproc.look(tile) for tile in tiles]

    def logits(
        self, pictures: Pictures, prompt: str, *, budget: int | None = None, system: str | None = None
    ) -> Floats:
        """Logits of the first token of the answer: float32 (vocabulary,), with nothing taken over from before.

        In this process only.
        """
        request = self._prepare(pictures, prompt, budget, system)
        with self._alone():
            return self.inproc.logits(request, Clock(time.perf_counter()), silent)

    def _prepare(self, pictures: Pictures, prompt: str, budget: int | None, system: str | None) -> Request:
        seen = [self.opened.cut(source, budget) for source in as_pictures(pictures)]
        turn = ask_messages(prompt, len(seen))
        return self.read([Message("system", (system,)), *turn] if system is not None else turn, seen)

    def read(self, messages: Sequence[Message], pictures: Sequence[CutPicture]) -> Request:
        """Messages as the decoder is fed. Raises EngineError where they do not fit into the context."""
        request = prepare(messages, pictures, self.lock, self.runtime, self._template)
        if request.tokens >= self.context:
            raise EngineError(
                f"the prompt takes {request.tokens:,} tokens ({request.image_tokens:,} of pictures), the "
                f"context holds {self.context:,} with the answer: set a budget, give fewer pictures or a "
                f"shorter prompt"
            )
        return request

    def text_tokens(self, messages: Sequence[Message], plans: Sequence[Plan]) -> int:
        """Tokens of the words of messages, and of what stands around their pictures, which have these plans."""
        blank = np.empty((0, 0, 3), np.uint8)
        pictures = [CutPicture(each, (blank,) * len(each.tile_boxes)) for each in plans]
        return prepare(messages, pictures, self.lock, self.runtime, self._template).text_tokens

    def generate(
        self,
        request: Request,
        options: Options,
        owner: object,
        started: float,
        progress: Progress | None = None,
    ) -> Generator[str, None, Answer]:
        """Answers a request; `owner` is whose keys and values are kept, `started` when it began (perf_counter)."""
        clock = Clock(started)
        room = min(options.max_tokens, self.context - request.tokens)
        with self._alone():
            said = yield from self.runtime.answer(request, options, owner, room, clock, progress or silent)
        reason: FinishReason = "stop" if said.ended else "length" if room == options.max_tokens else "context"
        if options.grammar is not None and not said.ended:
            raise _cut_short(options.grammar, reason, said.count, self.context)
        return Answer(
            text=said.text,
            finish_reason=reason,
            images=request.plans,
            usage=Usage(request.tokens, request.image_tokens, said.count, said.cached),
            timings_ms=Timings(
                load=self._load_ms,
                encode=clock.ms["encode"],
                prefill=clock.ms["prefill"],
                first_token=said.first * 1000,
                decode=clock.ms["decode"],
            ),
            tokens=said.tokens,
            grammar=options.grammar,
        )

    def leave(self, owner: object) -> None:
        """Gives up the memory that is kept for an owner of requests."""
        self.runtime.leave(owner)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise EngineError("this engine is still answering: finish or close that answer, or load a second one")
        try:
            yield
        finally:
            self._busy.release()


def _cut_short(grammar: Grammar, reason: FinishReason, tokens: int, context: int) -> CutShortError:
    """The error of an answer that must be whole and is not."""
    if reason == "length":
        limit, way_out = f"max tokens {tokens:,}", "raise max tokens"
    else:
        limit = f"the context of {context:,} tokens, {tokens:,} of them the answer's,"
        way_out = "set a budget, give fewer pictures or a shorter prompt"
    return CutShortError(
        f"the answer reached {limit} before it was complete by its {grammar.kind}: {way_out}, or ask for less"
    )


def silent(_stage: str, _done: int, _total: int) -> None:
    """The progress of a caller that wants none."""
