"""What a question costs: our engine beside bare llama.cpp calls and llama-cpp-python's own chat handler.

Everything is measured in one process and in turn, round by round, so that what else the machine does falls on all
alike; CPU seconds beside wall seconds, medians. Pictures are noise, new in every round: no cache knows them.
"""

import base64
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from magicvl.edge.answer import Options
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Context, Model, Vision
from magicvl.edge.prompt import ask_messages
from magicvl.edge.request import CutPicture, chat_template, open_and_cut, prepare
from magicvl.errors import EngineError

QUESTIONS = tuple(f"What is at place {number}?" for number in range(10))
CHANGED_TILES = 10
"""The screenshot has so many tiles, of which one changes."""


@dataclass(frozen=True)
class Cost:
    """One case: medians over the rounds."""

    case: str
    cpu_s: float
    wall_s: float
    tokens: int
    """Prompt tokens, visual ones among them."""


@dataclass(frozen=True)
class Speed:
    """All cases, and what they mean."""

    costs: tuple[Cost, ...]
    ratios: dict[str, float]
    """CPU seconds of one case over another's, by what the issue asks."""
    encoded_from_disk: int
    """Tiles that a new engine had to encode though the folder knew them."""


class Stopwatch:
    """CPU and wall seconds by case."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[float, float]]] = {}
        self.tokens: dict[str, int] = {}

    @contextmanager
    def measure(self, case: str) -> Iterator[None]:
        """Adds what runs inside to a case."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.times.setdefault(case, []).append((time.process_time() - cpu, time.perf_counter() - wall))

    def costs(self) -> tuple[Cost, ...]:
        """Medians of every case, in the order of their first measurement."""
        return tuple(
            Cost(
                case,
                statistics.median(cpu for cpu, _ in times),
                statistics.median(wall for _, wall in times),
                self.tokens.get(case, 0),
            )
            for case, times in self.times.items()
        )


def measure(
    bundle: Path,
    *,
    size: tuple[int, int] = (640, 480),
    rounds: int = 5,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Speed:
    """Measures `rounds` times with pictures of `size` px. Raises BundleError, EngineError."""
    watch = Stopwatch()
    encoded = 0
    with (
        Engine(bundle, threads=threads) as engine,
        _Raw(bundle, engine.threads) as raw,
        _Handler(bundle, engine) as peer,
    ):
        for round_ in range(rounds):
            if progress is not None:
                progress(round_, rounds)
            _ours(engine, watch, noise(size, 4 * round_))
            raw.first(watch, noise(size, 4 * round_ + 1))
            peer.first_and_second(watch, noise(size, 4 * round_ + 2))
            _changed(engine, watch, 4 * round_ + 3)
        _ten(engine, peer, watch, noise(size, 4 * rounds))
        encoded = _from_disk(bundle, engine.threads, watch, noise(size, 4 * rounds + 1))
    if progress is not None:
        progress(rounds, rounds)
    costs = watch.costs()
    cpu = {cost.case: cost.cpu_s for cost in costs}
    wall = {cost.case: cost.wall_s for cost in costs}
    return Speed(
        costs,
        {
            "first question, CPU over bare calls": cpu["first"] / cpu["bare calls"],
            "second question, wall over first": wall["second"] / wall["first"],
            "second question, wall over the handler's": wall["second"] / wall["handler, second"],
            "ten questions, CPU over the handler's": cpu["ten questions"] / cpu["handler, ten questions"],
            "one tile in ten changed, CPU over all new": cpu["one tile changed"] / cpu["ten tiles"],
            "from disk, CPU over first": cpu["from disk"] / cpu["first"],
        },
        encoded,
    )


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture that nothing has seen."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


ONE = Options(max_tokens=1)


def _drain(pieces: Any) -> Any:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def _ours(engine: Engine, watch: Stopwatch, picture: Image.Image) -> None:
    for case, question in (("first", QUESTIONS[0]), ("second", QUESTIONS[1])):
        with watch.measure(case):
            answer = _drain(engine.start(picture, question, ONE))
        watch.tokens[case] = answer.usage.prompt_tokens


def _changed(engine: Engine, watch: Stopwatch, seed: int) -> None:
    """A screenshot of ten tiles in a column, then the same with the last one changed."""
    side = engine.lock.grid.tile
    screen = noise((side, side * CHANGED_TILES), seed)
    with watch.measure("ten tiles"):
        engine.embed(screen)
    screen.paste(noise((side, side), seed + 10**6), (0, side * (CHANGED_TILES - 1)))
    with watch.measure("one tile changed"):
        engine.embed(screen)


def _ten(engine: Engine, peer: "_Handler", watch: Stopwatch, picture: Image.Image) -> None:
    with watch.measure("ten questions"):
        for question in QUESTIONS:
            _drain(engine.start(picture, question, ONE))
    with watch.measure("handler, ten questions"):
        for question in QUESTIONS:
            peer.ask(picture, question)


def _from_disk(bundle: Path, threads: int, watch: Stopwatch, picture: Image.Image) -> int:
    with tempfile.TemporaryDirectory() as folder:
        with Engine(bundle, threads=threads, cache=folder) as engine:
            engine.ask(picture, QUESTIONS[0], max_tokens=1)
        with Engine(bundle, threads=threads, cache=folder) as engine:
            with watch.measure("from disk"):
                _drain(engine.start(picture, QUESTIONS[0], ONE))
            return engine.tiles.misses


class _Raw:
    """The same tokens through libmtmd and llama_decode, with nothing of the engine around them."""

    def __init__(self, bundle: Path, threads: int) -> None:
        found = read_bundle(bundle)
        self.lock, self.threads = found.lock, threads
        llm = read_gguf(found.path("llm"))
        self.template = chat_template(llm)
        self.model = Model(llm.path)
        self.vision = Vision(found.path("mmproj"), self.model, self.lock.grid.unit, self.lock.grid.tile_tokens, threads)

    def __enter__(self) -> "_Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.vision.close()
        self.model.close()

    def first(self, watch: Stopwatch, picture: Image.Image) -> None:
        """From tiles that are cut already to the first token's logits."""
        seen: CutPicture = open_and_cut(picture, self.lock, None)
        request = prepare(ask_messages(QUESTIONS[0], 1), [seen], self.lock, self.model, self.template)
        watch.tokens["bare calls"] = request.tokens
        with watch.measure("bare calls"), Context(self.model, request.tokens + 1, self.threads) as context:
            for part in request.parts:
                last = part is request.parts[-1]
                if isinstance(part, list):
                    context.push_tokens(part, logits=last)
                else:
                    context.push_embeddings(self.vision.encode(part), logits=last)
            context.logits()


class _Handler:
    """llama-cpp-python's own way from a picture to an answer, with the same files."""

    def __init__(self, bundle: Path, engine: Engine) -> None:
        from llama_cpp import Llama
        from llama_cpp.llama_chat_format import MTMDChatHandler

        found = read_bundle(bundle)
        handler = MTMDChatHandler(clip_model_path=str(found.path("mmproj")), verbose=False, use_gpu=False)
        self._llama = Llama(
            str(found.path("llm")),
            chat_handler=handler,
            n_ctx=engine.lock.language.context,
            n_threads=engine.threads,
            n_threads_batch=engine.threads,
            verbose=False,
        )

    def __enter__(self) -> "_Handler":
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.close()

    def ask(self, picture: Image.Image, question: str) -> int:
        """Asks for one token; returns the prompt's tokens."""
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
        try:
            reply: Any = self._llama.create_chat_completion(
                messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
                max_tokens=1,
                temperature=0.0,
            )
        except RuntimeError as error:
            raise EngineError(
                f"llama-cpp-python's handler fails on a picture of {picture.width} x {picture.height} px ({error}), so "
                f"there is nothing to compare with; measure a smaller one"
            ) from None
        return int(reply["usage"]["prompt_tokens"])

    def first_and_second(self, watch: Stopwatch, picture: Image.Image) -> None:
        """Two questions about one picture."""
        for case, question in (("handler, first", QUESTIONS[0]), ("handler, second", QUESTIONS[1])):
            with watch.measure(case):
                watch.tokens[case] = self.ask(picture, question)
