"""What is done while energy is read: nothing, loading, and each part of a picture question, again and again.

A part takes tenths of a second and a battery's gauge moves once a second or less often, so no part of one question can
be told from its neighbours. Instead each part is done alone for as long as the gauge needs, and shared out.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from magicvl.bench.cpu_time import cpu_seconds
from magicvl.bench.pictures import png
from magicvl.edge.answer import Answer, Options, drain
from magicvl.edge.engine import Engine
from magicvl.edge.noise import noise
from magicvl.edge.prompt import ask_messages
from magicvl.edge.request import open_and_cut
from magicvl.errors import UsageError

QUESTION = "What is at the top of the picture?"
IDLE, LOAD, ENCODE, PREFILL, DECODE, WHOLE = "idle", "load", "encode", "prefill", "decode", "question"
PICTURES = 8
"""Pictures that take turns, so that none is still known."""


@dataclass(frozen=True)
class Block:
    """One thing, done again and again. Times are those of time.monotonic."""

    name: str
    begin: float
    end: float
    moments: tuple[tuple[float, float], ...]
    """When each run began and ended."""
    tokens: int
    """Of all runs: visual ones of `encode`, of the prompt of `prefill`, of the answers of `decode` and `question`."""
    cpu_s: float

    @property
    def seconds(self) -> float:
        """From its beginning to its end."""
        return self.end - self.begin


@dataclass(frozen=True)
class Job:
    """What is asked."""

    bundle: Path
    size: tuple[int, int] = (640, 480)
    """Of the pictures, in px."""
    tokens: int = 32
    """Most tokens of an answer."""
    threads: int | None = None
    runtime: str = "auto"


def idle(seconds: float) -> Block:
    """Waits."""
    return repeat(IDLE, lambda: _slept(seconds), seconds)


def load(job: Job, seconds: float) -> Block:
    """Loads the bundle and lets it go; its pages are in the system's cache after the first time."""
    return repeat(LOAD, lambda: _loaded(job), seconds)


def repeat(name: str, act: Callable[[], int], seconds: float, tell: Callable[[float], None] | None = None) -> Block:
    """Does something for at least so many seconds and at least once; `act` gives the tokens of a run.

    `tell` is told how many seconds have passed.
    """
    moments, tokens = list[tuple[float, float]](), 0
    cpu, begin = cpu_seconds(), time.monotonic()
    while not moments or moments[-1][1] - begin < seconds:
        started = time.monotonic()
        tokens += act()
        moments.append((started, time.monotonic()))
        if tell is not None:
            tell(moments[-1][1] - begin)
    return Block(name, begin, moments[-1][1], tuple(moments), tokens, cpu_seconds() - cpu)


class Work:
    """A loaded bundle and what can be done with it."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.engine, self.job = engine, job
        self.pictures = cycle([png(noise(job.size, seed)) for seed in range(PICTURES)])
        self.options = Options(max_tokens=job.tokens)
        first = next(self.pictures)
        self._picture = first
        self._request = engine.read(ask_messages(QUESTION, 1), [open_and_cut(first, engine.lock, None)])

    def parts(self) -> dict[str, Callable[[], int]]:
        """The parts of a question that can be done alone: none of them where a llama-server does the work."""
        try:
            self.engine.embed(self._picture)
        except UsageError:
            return {}
        return {ENCODE: self.encode, PREFILL: self.prefill, DECODE: self.decode}

    def question(self) -> int:
        """A picture that nothing has seen, and a question about it."""
        self._forget(tiles=True)
        return _tokens(self.engine.answer(next(self.pictures), QUESTION, max_tokens=self.job.tokens))

    def encode(self) -> int:
        """A file to visual tokens."""
        self.engine.tiles.clear()
        return sum(len(rows) for rows in self.engine.embed(self._picture))

    def prefill(self) -> int:
        """The prompt through the decoder, its tiles being encoded already, up to the first token."""
        self._forget(tiles=False)
        return self._answer(Options(max_tokens=1)).usage.prompt_tokens

    def decode(self) -> int:
        """The answer, its prompt being read already."""
        return _tokens(self._answer(self.options))

    def _answer(self, options: Options) -> Answer:
        return drain(self.engine.generate(self._request, options, None, time.perf_counter()))

    def _forget(self, *, tiles: bool) -> None:
        self.engine.opened.clear()
        try:
            self.engine.sequences.forget()
            if tiles:
                self.engine.tiles.clear()
        except UsageError:
            # A llama-server holds one conversation, and the next picture is another one.
            return


@contextmanager
def working(job: Job) -> Iterator[Work]:
    """A loaded bundle that has answered once. Raises BundleError, EngineError."""
    with Engine(job.bundle, threads=job.threads, runtime=job.runtime) as engine:
        work = Work(engine, job)
        work.question()
        yield work


def _slept(seconds: float) -> int:
    time.sleep(seconds)
    return 0


def _loaded(job: Job) -> int:
    Engine(job.bundle, threads=job.threads, runtime=job.runtime).close()
    return 0


def _tokens(answer: Answer) -> int:
    """Tokens that went through the decoder for an answer: its own, the one that ended it among them."""
    return answer.usage.completion_tokens + (answer.finish_reason == "stop")
