"""What is asked for, and what comes back: plain frozen data."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, TypedDict

from magicvl.edge.grammar import Grammar, Schema, make_grammar, read_schema
from magicvl.edge.plan import Plan
from magicvl.errors import UsageError

FinishReason = Literal["stop", "length", "context"]
Progress = Callable[[str, int, int], None]
"""Called with what is counted (`tile` or `prompt token`), how many are done, and how many there are.

What it raises ends the request, and the engine can go on with another.
"""


class OptionArguments(TypedDict, total=False):
    """The fields of Options by name, as functions take them."""

    max_tokens: int
    budget: int | None
    temperature: float
    top_p: float | None
    seed: int | None
    schema: Schema | None
    choices: Sequence[str] | None
    regex: str | None


@dataclass(frozen=True)
class Options:
    """How an answer is generated. An option that could have no effect is refused."""

    max_tokens: int = 256
    """Most tokens of the answer."""
    budget: int | None = None
    """Most visual tokens of each picture, None for as many as the model's tiles allow."""
    temperature: float = 0.0
    """0 takes the likeliest token each time; above, tokens are sampled."""
    top_p: float | None = None
    """Share of probability that is sampled from, in (0, 1]; None for all. Needs a temperature."""
    seed: int | None = None
    """Makes a sampled answer repeatable, 0 to 2**32 - 2; None for a random one. Needs a temperature."""

    schema: Schema | None = None
    """JSON Schema that the answer fulfils, or the path of a file that holds one; kept as data."""
    choices: Sequence[str] | None = None
    """Texts that the answer is one of."""
    regex: str | None = None
    """Regular expression that the whole answer matches."""

    @cached_property
    def grammar(self) -> Grammar | None:
        """What the answer must look like, made of schema, choices or regex."""
        return make_grammar(self.schema, self.choices, self.regex)

    def __post_init__(self) -> None:
        # A file may change, and a list too.
        if self.schema is not None:
            object.__setattr__(self, "schema", read_schema(self.schema))
        if self.choices is not None and not isinstance(self.choices, str):
            object.__setattr__(self, "choices", tuple(self.choices))
        _ = self.grammar
        if self.max_tokens < 1:
            raise UsageError(f"max tokens {self.max_tokens}: it must be at least 1")
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"a budget of {self.budget} visual tokens: it must be at least 1")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"temperature {self.temperature}: it must be 0 or more")
        for name, value in (("top-p", self.top_p), ("seed", self.seed)):
            if value is not None and self.temperature == 0:
                raise UsageError(f"{name} {value} has no effect at temperature 0: set a temperature, or drop it")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p {self.top_p}: it must be above 0 and at most 1")
        # llama.cpp reads 2**32 - 1 as "random".
        if self.seed is not None and not 0 <= self.seed < 2**32 - 1:
            raise UsageError(f"seed {self.seed}: it must be 0 to {2**32 - 2}")


@dataclass(frozen=True)
class Usage:
    """Tokens that a request took."""

    prompt_tokens: int
    """All of the prompt, visual tokens among them."""
    image_tokens: int
    """Visual tokens alone."""
    completion_tokens: int
    """Tokens of the answer, its end-of-turn token not counted."""
    cached_tokens: int
    """Prompt tokens that needed no computing."""


@dataclass(frozen=True)
class Timings:
    """Where the time went, in milliseconds."""

    load: float
    """Opening the bundle: once an engine, so the same in each of its answers."""
    encode: float
    """Pictures to visual tokens, decoding of the files included."""
    prefill: float
    """Prompt through the decoder."""
    first_token: float
    """From the request to the first token of the answer, load not counted."""
    decode: float
    """The tokens after the first."""


@dataclass(frozen=True)
class Answer:
    """An answer and what it took."""

    text: str
    finish_reason: FinishReason
    """`stop`: the model ended its turn; `length`: max_tokens was reached; `context`: the context is full."""
    images: tuple[Plan, ...]
    """What became of each picture, in the order they were given."""
    usage: Usage
    timings_ms: Timings
    tokens: tuple[int, ...] = ()
    """Ids of the answer's tokens."""
    dropped_turns: int = 0
    """Turns at the beginning of the conversation that had to be left out."""
    grammar: Grammar | None = None
    """What the answer had to look like."""

    @property
    def value(self) -> object:
        """The answer as data: parsed where a schema was given, else its text."""
        return self.text if self.grammar is None else self.grammar.value(self.text)

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl ask --json` prints."""
        return {
            "answer": self.value,
            "finish_reason": self.finish_reason,
            "images": [image.to_json() for image in self.images],
            "usage": asdict(self.usage),
            "timings_ms": {name: round(value, 3) for name, value in asdict(self.timings_ms).items()},
        }


def drain(pieces: Generator[str, None, Answer], heard: Callable[[], None] | None = None) -> Answer:
    """The Answer that a stream of pieces returns; the pieces are let go, and `heard` is told after each."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        if heard is not None:
            heard()
