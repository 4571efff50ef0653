"""The engine: a bundle, pictures and a prompt in, an answer out.

bundle --check--> Model, Vision     pictures + prompt --prepare--> [ids, tile, ids, tile, ids]
                                                                         |     |
                                                      push_tokens <------+     +--> encode, push_embeddings
                                                              logits --> token --> text, until the end
"""

import codecs
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from magicvl.edge.answer import Answer, FinishReason, OptionArguments, Options, Progress, Timings, Usage, drain
from magicvl.edge.bundle import read_bundle
from magicvl.edge.calibration_file import best_threads
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.grammar import Grammar
from magicvl.edge.llama import KEY_BLOCK, KEY_TYPES, Adapter, Context, Floats, Model, Vision, batches, library_build
from magicvl.edge.pair import check_lora, check_pair
from magicvl.edge.picking import picker
from magicvl.edge.pixels import PictureSource, Pixels
from magicvl.edge.plan import Plan
from magicvl.edge.prompt import Message, ask_messages
from magicvl.edge.request import CutPicture, Request, as_pictures, chat_template, open_and_cut, prepare
from magicvl.edge.sequences import Element, SeenTile, Sequences, Slot
from magicvl.edge.session import Overflow, Session
from magicvl.edge.session_file import load_session, save_session
from magicvl.edge.tile_cache import DISK_BYTES, MEMORY_BYTES, TileCache, tile_key
from magicvl.errors import EngineError, UsageError

Pictures = PictureSource | Sequence[PictureSource]

MOST_SEQUENCES = 64
"""Conversations of one engine; llama.cpp counts them in a fixed table."""


class Engine:
    """A loaded bundle. One request at a time; close it, or use it in a `with`."""

    def __init__(
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
    ) -> None:
        """Checks the bundle in `bundle` and loads it.

        `threads` defaults to what `magicvl.edge.calibrate` found to be the fastest, or the physical cores; `context`
        is the most tokens of prompt and answer together, by default what the model was made for. `sequences` is how
        many conversations keep their keys and values at once, within `context` tokens together. `cache` is a folder
        where visual tokens are kept for other processes, in about `cache_bytes`, by default 1 GiB; in memory they
        take `memory_bytes` at most. `key_type` is that of the keys that the decoder keeps of what it read: f16, or
        q8_0, which takes a quarter off the memory of keys and values. Raises BundleError before native code sees a
        file that is damaged or does not fit, EngineError where native code refuses it, UsageError.
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
        found.verify()
        llm, mmproj = read_gguf(found.path("llm")), read_gguf(found.path("mmproj"))
        check_pair(self.lock, llm, mmproj)
        lora = read_gguf(found.path("lora")) if "lora" in self.lock.files else None
        if lora is not None:
            check_lora(llm, lora)
        self._template = chat_template(llm)
        self._busy = threading.Lock()
        with ExitStack() as owned:
            self._model = owned.enter_context(Model(llm.path))
            if key_type != "f16" and self._model.key_width % KEY_BLOCK:
                raise UsageError(
                    f"keys in {key_type}: this model's are {self._model.key_width} numbers wide, no multiple of "
                    f"{KEY_BLOCK}; keep f16"
                )
            self._adapter = Adapter(lora.path, self._model, self.lock.lora_scale) if lora is not None else None
            self._vision = owned.enter_context(
                Vision(mmproj.path, self._model, self.lock.grid.unit, self.lock.grid.tile_tokens, self.threads)
            )
            self.tiles = TileCache(memory_bytes, None if cache is None else Path(cache), cache_bytes or DISK_BYTES)
            owned.callback(self.tiles.close)
            self.sequences = Sequences(self.make_context, sequences, self.context)
            owned.callback(self.sequences.close)
            self._owned = owned.pop_all()
        self.build = library_build()
        self._encoder = f"{self.lock.files['mmproj'].sha256} {self.build}".encode()
        self._load_ms = (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Frees the model; the engine is of no use afterwards."""
        self._owned.close()

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

    def embed(self, picture: PictureSource, budget: int | None = None) -> list[Floats]:
        """The visual tokens of each tile of a picture: float32 (tokens, width of the decoder)."""
        _, tiles = open_and_cut(picture, self.lock, budget)
        with self._alone():
            return [self._look(tile, tile_key(tile, self._encoder)) for tile in tiles]

    def logits(
        self, pictures: Pictures, prompt: str, *, budget: int | None = None, system: str | None = None
    ) -> Floats:
        """Logits of the first token of the answer: float32 (vocabulary,), with nothing taken over from before."""
        request = self._prepare(pictures, prompt, budget, system)
        with self._alone():
            self.sequences.forget()
            return self._prefill(request, None, request.tokens, _Clock(), _silent).context.logits()

    def _prepare(self, pictures: Pictures, prompt: str, budget: int | None, system: str | None) -> Request:
        seen = [open_and_cut(source, self.lock, budget) for source in as_pictures(pictures)]
        turn = ask_messages(prompt, len(seen))
        return self.read([Message("system", (system,)), *turn] if system is not None else turn, seen)

    def read(self, messages: Sequence[Message], pictures: Sequence[CutPicture]) -> Request:
        """Messages as the decoder is fed. Raises EngineError where they do not fit into the context."""
        request = prepare(messages, pictures, self.lock, self._model, self._template)
        if request.tokens >= self.context:
            raise EngineError(
                f"the prompt takes {request.tokens:,} tokens ({request.image_tokens:,} of pictures), the "
                f"context holds {self.context:,} with the answer: set a budget, give fewer pictures or a "
                f"shorter prompt"
            )
        return request

    def generate(
        self,
        request: Request,
        options: Options,
        owner: object,
        started: float,
        progress: Progress | None = None,
    ) -> Generator[str, None, Answer]:
        """Answers a request; `owner` is whose keys and values are kept, `started` when it began (perf_counter)."""
        clock = _Clock()
        clock.add("encode", time.perf_counter() - started)
        room = min(options.max_tokens, self.context - request.tokens)
        text, tokens, first = "", list[int](), 0.0
        reason: FinishReason = "length" if room == options.max_tokens else "context"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with self._alone(), picker(options, self._model) as picking:
            filled = self._prefill(request, owner, request.tokens + room, clock, progress or _silent)
            context = filled.context
            while True:
                with clock.measure("decode" if tokens else "first"):
                    token = picking.pick(context)
                first = first or time.perf_counter() - started
                if self._model.ends(token):
                    reason = "stop"
                    break
                tokens.append(token)
                if piece := decoder.decode(self._model.piece(token)):
                    text += piece
                    yield piece
                if picking.complete():
                    reason = "stop"
                    break
                if len(tokens) == room:
                    break
                with clock.measure("decode"):
                    context.push_tokens([token], logits=True)
                filled.slot.elements.append(token)
        if piece := decoder.decode(b"", final=True):
            text += piece
            yield piece
        if options.grammar is not None and reason != "stop":
            raise _cut_short(options.grammar, reason, len(tokens), self.context)
        return Answer(
            text=text,
            finish_reason=reason,
            images=request.plans,
            usage=Usage(request.tokens, request.image_tokens, len(tokens), filled.cached),
            timings_ms=Timings(
                load=self._load_ms,
                encode=clock.ms["encode"],
                prefill=clock.ms["prefill"],
                first_token=first * 1000,
                decode=clock.ms["decode"],
            ),
            tokens=tuple(tokens),
            grammar=options.grammar,
        )

    def _prefill(self, request: Request, owner: object, room: int, clock: "_Clock", progress: Progress) -> "_Prefilled":
        """Feeds what is not held yet of a prompt to the context; makes the last one's logits."""
        elements = self._elements(request)
        context, slot, held = self.sequences.begin(owner, elements, room)
        cached = context.position
        number = tiles = 0

        def fed(what: Sequence[Element]) -> None:
            slot.elements.extend(what)
            progress("prompt token", context.position, request.tokens)

        for i, part in enumerate(request.parts):
            last = i == len(request.parts) - 1
            if isinstance(part, list):
                rest = part[max(0, held - number) :]
                for piece, ends in batches(len(rest)):
                    with clock.measure("prefill"):
                        context.push_tokens(rest[piece], logits=last and ends)
                    fed(rest[piece])
                number += len(part)
            else:
                seen = elements[number]
                assert isinstance(seen, SeenTile)
                if number >= held:
                    progress("tile", tiles, request.tiles)
                    with clock.measure("encode"):
                        embeddings = self._look(part, seen.key)
                    for piece, ends in batches(len(embeddings)):
                        with clock.measure("prefill"):
                            context.push_embeddings(embeddings[piece], logits=last and ends)
                        fed([seen] if ends else [])
                number, tiles = number + 1, tiles + 1
        return _Prefilled(context, slot, cached)

    def _elements(self, request: Request) -> list[Element]:
        elements: list[Element] = []
        for part in request.parts:
            if isinstance(part, list):
                elements.extend(part)
            else:
                tokens = part.shape[0] * part.shape[1] // self.lock.grid.unit**2
                elements.append(SeenTile(tile_key(part, self._encoder), tokens))
        return elements

    def _look(self, tile: Pixels, key: bytes) -> Floats:
        """The visual tokens of a tile, looked at once."""
        found = self.tiles.get(key)
        if found is None:
            found = self._vision.encode(tile)
            self.tiles.put(key, found)
        return found

    def make_context(self, size: int, sequences: int) -> Context:
        """A context of the decoder, adapter and all; the caller closes it."""
        context = Context(self._model, size, self.threads, sequences, self.key_type)
        if self._adapter is not None:
            self._adapter.apply(context)
        return context

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise EngineError("this engine is still answering: finish or close that answer, or load a second one")
        try:
            yield
        finally:
            self._busy.release()


@dataclass(frozen=True)
class _Prefilled:
    """A prompt that the decoder has read."""

    context: Context
    slot: Slot
    cached: int
    """Tokens of the prompt that were held already."""


class _Clock:
    """Time spent by name, in milliseconds."""

    def __init__(self) -> None:
        self.ms: defaultdict[str, float] = defaultdict(float)

    def add(self, name: str, seconds: float) -> None:
        self.ms[name] += seconds * 1000

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)


def _cut_short(grammar: Grammar, reason: FinishReason, tokens: int, context: int) -> EngineError:
    """The error of an answer that must be whole and is not."""
    if reason == "length":
        limit, way_out = f"max tokens {tokens:,}", "raise max tokens"
    else:
        limit = f"the context of {context:,} tokens, {tokens:,} of them the answer's,"
        way_out = "set a budget, give fewer pictures or a shorter prompt"
    return EngineError(
        f"the answer reached {limit} before it was complete by its {grammar.kind}: {way_out}, or ask for less"
    )


def _silent(_stage: str, _done: int, _total: int) -> None:
    """The progress of a caller that wants none."""
