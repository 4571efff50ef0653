"""What is asked for, and what comes back: plain frozen data."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from magicvl.edge.plan import Plan
from magicvl.errors import UsageError

FinishReason = Literal["stop", "length", "context"]


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

    def __post_init__(self) -> None:
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

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl ask --json` prints."""
        return {
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "images": [image.to_json() for image in self.images],
            "usage": asdict(self.usage),
            "timings_ms": {name: round(value, 3) for name, value in asdict(self.timings_ms).items()},
        }
