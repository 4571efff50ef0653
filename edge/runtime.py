"""What the engine asks of whatever runs the model: llama.cpp in this process, or a llama-server beside it.

Engine --plan, pixels, prompt--> Request --+--> InProcess      magicvl.edge.inproc
                                           +--> ServerRuntime  magicvl.edge.server.runtime
"""

import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from magicvl.edge.answer import Options, Progress
from magicvl.edge.bundle import Lock
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.variant import ServerProgram, find_server
from magicvl.errors import EngineError, UsageError

if TYPE_CHECKING:
    from magicvl.edge.inproc import InProcess
    from magicvl.edge.request import Request
    from magicvl.edge.sequences import Element

RuntimeName = Literal["auto", "inproc", "server"]
RUNTIMES: tuple[str, ...] = get_args(RuntimeName)


@dataclass(frozen=True)
class Setup:
    """A checked bundle, and how it is to be run."""

    lock: Lock
    llm: GgufFile
    mmproj: Path
    lora: Path | None
    threads: int
    context: int
    """Most tokens of prompt and answer together."""
    sequences: int
    """Conversations whose keys and values are held at once."""
    key_type: str
    """One of magicvl.edge.decoding.KEY_TYPES."""
    caption_lora: Path | None = None
    """The adapter of requests that are captions, on top of `lora`."""


@dataclass
class Said:
    """What came of a request so far."""

    text: str = ""
    tokens: tuple[int, ...] = ()
    count: int = 0
    """How many tokens it is."""
    ended: bool = False
    """Whether the model ended its turn, or a grammar lets nothing follow."""
    cached: int = 0
    """Tokens of the prompt that were held already."""
    first: float = 0.0
    """Seconds from the request to the first token."""


class Clock:
    """Time spent by name, in milliseconds."""

    def __init__(self, started: float) -> None:
        """`started` is when the request began (perf_counter)."""
        self.started = started
        self.ms: defaultdict[str, float] = defaultdict(float)
        self.add("encode", self.elapsed())

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.started

    def add(self, name: str, seconds: float) -> None:
        """Counts seconds to a name."""
        self.ms[name] += seconds * 1000

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Counts what happens inside to a name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)


class Tokeniser(Protocol):
    """What makes ids of words."""

    @property
    def exact(self) -> bool:
        """Whether a prompt may hold ids that its text does not make by itself, such as those of an earlier answer."""

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text; nothing is added. Only where `special` is set may it spell special tokens."""


class Runtime(Tokeniser, Protocol):
    """A loaded model. Used by one engine, a request at a time."""

    @property
    def build(self) -> str:
        """What decides the last bits of a result beside the weights."""

    def answer(
        self, request: "Request", options: Options, owner: object, room: int, clock: Clock, progress: Progress
    ) -> Generator[str, None, Said]:
        """The answer's text piece by piece, of at most `room` tokens; `owner` is whose keys and values are kept.

        Counts `encode`, `prefill` and `decode` on the clock.
        """

    def leave(self, owner: object) -> None:
        """Gives up what is kept for an owner."""

    def state(self, owner: object, most: int | None) -> "tuple[list[Element], npt.NDArray[np.uint8]] | None":
        """What is kept for an owner as bytes; None where it is nothing, or more than `most` bytes."""

    def restore(self, owner: object, elements: "Sequence[Element]", state: npt.NDArray[np.uint8]) -> bool:
        """Takes over what `state` gave; False where it is not taken, and has to be computed again."""

    def close(self) -> None:
        """Frees everything."""


def choose(runtime: str) -> "type[InProcess] | ServerProgram":
    """What runs the model by that name: the class for this process, or the llama-server to start.

    Raises UsageError for another name, EngineError where neither is to be had.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime {runtime!r}: there are {', '.join(RUNTIMES)}")
    cause: Exception | None = None
    if runtime != "server":
        try:
            from magicvl.edge.inproc import InProcess
        except (ImportError, OSError, RuntimeError) as error:  # no package, no library in it, a library that won't load
            cause = error
        else:
            return InProcess
    program = find_server() if runtime != "inproc" else None
    if program is None:
        raise EngineError(_missing(runtime, cause))
    return program


def _missing(runtime: str, cause: Exception | None) -> str:
    inproc = "install llama-cpp-python" if isinstance(cause, ImportError) else f"mend llama-cpp-python ({cause})"
    server = "install magicvl's archive for this machine or another llama-server, or set MAGICVL_SERVER to one"
    if runtime == "inproc":
        return f"no llama.cpp to load into this process: {inproc}, or use --runtime server"
    if runtime == "server":
        return f"no llama-server that runs here: {server}; or use --runtime inproc"
    return f"nothing here runs a model: {inproc}; or {server}"
