"""The engine: a bundle, pictures and a prompt in, an answer out.

bundle --check--> Model, Vision     pictures + prompt --prepare--> [ids, tile, ids, tile, ids]
                                                                         |     |
                                                      push_tokens <------+     +--> encode, push_embeddings
                                                              logits --> token --> text, until the end
"""

import codecs
import os
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import numpy as np

from magicvl.edge.answer import Answer, FinishReason, Options, Timings, Usage
from magicvl.edge.bundle import read_bundle
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Adapter, Context, Floats, Model, Sampler, Vision
from magicvl.edge.pair import check_lora, check_pair
from magicvl.edge.pixels import PictureSource
from magicvl.edge.request import Request, as_pictures, chat_template, open_and_cut, prepare
from magicvl.edge.threads import physical_cores
from magicvl.errors import EngineError, UsageError

Pictures = PictureSource | Sequence[PictureSource]
Progress = Callable[[str, int, int], None]
"""Called with what is counted (`tile` or `prompt token`), how many are done, and how many there are."""

CONTEXT_STEP = 512
"""Contexts are made in multiples of this, so that the next request often fits the last one's."""


class Engine:
    """A loaded bundle. One request at a time; close it, or use it in a `with`."""

    def __init__(
        self, bundle: str | os.PathLike[str], *, threads: int | None = None, context: int | None = None
    ) -> None:
        """Checks the bundle in `bundle` and loads it.

        `threads` defaults to the physical cores; `context` is the most tokens of prompt and answer
        together, by default what the model was made for. Raises BundleError before native code sees a
        file that is damaged or does not fit, EngineError where native code refuses it, UsageError.
        """
        started = time.perf_counter()
        found = read_bundle(bundle)
        self.lock = found.lock
        self.threads = physical_cores() if threads is None else threads
        self.context = self.lock.language.context if context is None else context
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads: it must be at least 1")
        if not 1 <= self.context <= self.lock.language.context:
            raise UsageError(
                f"a context of {self.context:,} tokens: the model's is 1 to {self.lock.language.context:,}"
            )
        found.verify()
        llm, mmproj = read_gguf(found.path("llm")), read_gguf(found.path("mmproj"))
        check_pair(self.lock, llm, mmproj)
        lora = read_gguf(found.path("lora")) if "lora" in self.lock.files else None
        if lora is not None:
            check_lora(llm, lora)
        self._template = chat_template(llm)
        self._busy = threading.Lock()
        self._kept: Context | None = None
        with ExitStack() as owned:
            self._model = owned.enter_context(Model(llm.path))
            self._adapter = Adapter(lora.path, self._model, self.lock.lora_scale) if lora is not None else None
            self._vision = owned.enter_context(
                Vision(mmproj.path, self._model, self.lock.grid.unit, self.lock.grid.tile, self.threads)
            )
            self._owned = owned.pop_all()
        self._load_ms = (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Frees the model; the engine is of no use afterwards."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
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
        max_tokens: int = 256,
        budget: int | None = None,
        temperature: float = 0.0,
        top_p: float | None = None,
        seed: int | None = None,
        system: str | None = None,
    ) -> str:
        """The answer's text. Pictures and options as in `stream`."""
        options = Options(max_tokens, budget, temperature, top_p, seed)
        return _drain(self.start(pictures, prompt, options, system=system)).text

    def answer(
        self,
        pictures: Pictures,
        prompt: str,
        *,
        max_tokens: int = 256,
        budget: int | None = None,
        temperature: float = 0.0,
        top_p: float | None = None,
        seed: int | None = None,
        system: str | None = None,
    ) -> Answer:
        """The answer with plans, token counts and timings. Pictures and options as in `stream`."""
        options = Options(max_tokens, budget, temperature, top_p, seed)
        return _drain(self.start(pictures, prompt, options, system=system))

    def stream(
        self,
        pictures: Pictures,
        prompt: str,
        *,
        max_tokens: int = 256,
        budget: int | None = None,
        temperature: float = 0.0,
        top_p: float | None = None,
        seed: int | None = None,
        system: str | None = None,
    ) -> Iterator[str]:
        """The answer's text piece by piece, each as soon as it is there.

        A picture is a path, the bytes of a file, or a Pillow image; one alone or several in order.
        `max_tokens` bounds the answer, `budget` the visual tokens of each picture. `temperature` 0 is
        greedy; `top_p` and `seed` need one above 0. `system` goes before the user's turn.
        Raises PictureError, UsageError, EngineError.
        """
        options = Options(max_tokens, budget, temperature, top_p, seed)
        return self.start(pictures, prompt, options, system=system)

    def start(
        self,
        pictures: Pictures,
        prompt: str,
        options: Options,
        *,
        system: str | None = None,
        progress: Progress | None = None,
    ) -> Generator[str, None, Answer]:
        """As `stream`, reporting progress; the generator returns the Answer."""
        started = time.perf_counter()
        request = self._prepare(pictures, prompt, options.budget, system)
        return self._generate(request, options, progress or _silent, started)

    def embed(self, picture: PictureSource, budget: int | None = None) -> list[Floats]:
        """The visual tokens of each tile of a picture: float32 (tokens, width of the decoder)."""
        _, tiles = open_and_cut(picture, self.lock, budget)
        with self._alone():
            return [self._vision.encode(tile) for tile in tiles]

    def logits(
        self, pictures: Pictures, prompt: str, *, budget: int | None = None, system: str | None = None
    ) -> Floats:
        """Logits of the first token of the answer: float32 (vocabulary,)."""
        request = self._prepare(pictures, prompt, budget, system)
        with self._alone():
            return self._prefill(request, request.tokens, _Clock(), _silent).logits()

    def _prepare(self, pictures: Pictures, prompt: str, budget: int | None, system: str | None) -> Request:
        request = prepare(
            as_pictures(pictures),
            prompt,
            self.lock,
            self._model,
            self._template,
            budget=budget,
            system=system,
        )
        if request.tokens >= self.context:
            raise EngineError(
                f"the prompt takes {request.tokens:,} tokens ({request.image_tokens:,} of pictures), the "
                f"context holds {self.context:,} with the answer: set a budget, give fewer pictures or a "
                f"shorter prompt"
            )
        return request

    def _generate(
        self, request: Request, options: Options, progress: Progress, started: float
    ) -> Generator[str, None, Answer]:
        clock = _Clock()
        clock.add("encode", time.perf_counter() - started)
        room = min(options.max_tokens, self.context - request.tokens)
        text, count, first = "", 0, 0.0
        reason: FinishReason = "length" if room == options.max_tokens else "context"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with self._alone(), _picker(options) as pick:
            context = self._prefill(request, request.tokens + room, clock, progress)
            while True:
                with clock.measure("decode" if count else "first"):
                    token = pick(context)
                first = first or time.perf_counter() - started
                if self._model.ends(token):
                    reason = "stop"
                    break
                count += 1
                if piece := decoder.decode(self._model.piece(token)):
                    text += piece
                    yield piece
                if count == room:
                    break
                with clock.measure("decode"):
                    context.push_tokens([token], logits=True)
        if piece := decoder.decode(b"", final=True):
            text += piece
            yield piece
        return Answer(
            text=text,
            finish_reason=reason,
            images=request.plans,
            usage=Usage(request.tokens, request.image_tokens, count, cached_tokens=0),
            timings_ms=Timings(
                load=self._load_ms,
                encode=clock.ms["encode"],
                prefill=clock.ms["prefill"],
                first_token=first * 1000,
                decode=clock.ms["decode"],
            ),
        )

    def _prefill(self, request: Request, size: int, clock: "_Clock", progress: Progress) -> Context:
        """Feeds the prompt to an empty context of at least `size` tokens; makes the last one's logits."""
        context = self._context(size)
        tiles = 0
        for i, part in enumerate(request.parts):
            last = i == len(request.parts) - 1
            if isinstance(part, list):
                with clock.measure("prefill"):
                    context.push_tokens(part, logits=last)
            else:
                progress("tile", tiles, request.tiles)
                with clock.measure("encode"):
                    embeddings = self._vision.encode(part)
                tiles += 1
                with clock.measure("prefill"):
                    context.push_embeddings(embeddings, logits=last)
            progress("prompt token", context.position, request.tokens)
        return context

    def _context(self, size: int) -> Context:
        """An empty context of at least `size` tokens, the last one where that is large enough."""
        if self._kept is not None and self._kept.size < size:
            self._kept.close()
            self._kept = None
        if self._kept is None:
            self._kept = Context(self._model, -(-size // CONTEXT_STEP) * CONTEXT_STEP, self.threads)
            if self._adapter is not None:
                self._adapter.apply(self._kept)
        self._kept.clear()
        return self._kept

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise EngineError("this engine is still answering: finish or close that answer, or load a second one")
        try:
            yield
        finally:
            self._busy.release()


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


@contextmanager
def _picker(options: Options) -> Iterator[Callable[[Context], int]]:
    """How the next token is picked; its logits are checked either way."""
    if options.temperature == 0:
        yield lambda context: int(np.argmax(context.logits()))
        return
    seed = secrets.randbelow(2**32 - 1) if options.seed is None else options.seed
    with Sampler(options.temperature, options.top_p, seed) as sampler:

        def sample(context: Context) -> int:
            context.logits()
            return sampler.sample(context)

        yield sample


def _drain(pieces: Generator[str, None, Answer]) -> Answer:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def _silent(_stage: str, _done: int, _total: int) -> None:
    """The progress of a caller that wants none."""
