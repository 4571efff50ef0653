"""What one machine takes for one bundle: measured once (magicvl.edge.calibrate), kept as plain numbers.

encode   seconds of a tile, by its visual tokens: points, and straight lines between them
prefill  seconds of one llama_decode, by its tokens, into an empty context; and what each token costs more for
         each token before it
memory   of a process that has loaded the bundle, that has answered, and of each token of context
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from math import isfinite
from typing import Any

Point = tuple[int, float]
"""Tokens, and the seconds that so many take."""


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process in bytes; weights that are mapped from their file count as soon as touched."""

    loaded: int
    """After loading."""
    working: int
    """After the largest tile and its prefill, its context not counted."""
    token: float
    """What each token of context takes: keys, values and scratch."""


@dataclass(frozen=True)
class Calibration:
    """The costs of a bundle on a machine."""

    threads: int
    """Threads that it was measured with, the fastest of `trials`."""
    trials: tuple[Point, ...]
    """Thread counts that were tried, and the seconds of a tile and its prefill."""
    tile: tuple[Point, ...]
    """Seconds to encode a tile, by its visual tokens; more tokens never take less."""
    push: tuple[Point, ...]
    """Seconds of a llama_decode at the beginning, by its tokens; more tokens never take less."""
    depth: float
    """Seconds that a token takes more for each token before it."""
    token: float
    """Seconds of a token of the answer, at the beginning."""
    opening: Mapping[str, float]
    """Seconds to decode and resize a megapixel, by format; the slowest stands for formats that are not named."""
    first_encode: float
    """Seconds that the first picture of a process takes more than later ones."""
    first_context: float
    """Seconds to make the context, once a process."""
    first_prefill: float
    """Seconds that the decoder takes more for the first request."""
    memory: Memory | None = None
    """None where the system does not tell."""

    def __post_init__(self) -> None:
        numbers = [
            *(seconds for points in (self.trials, self.tile, self.push) for _, seconds in points),
            *self.opening.values(),
            *(self.depth, self.token, self.first_encode, self.first_context, self.first_prefill),
            *(asdict(self.memory).values() if self.memory else ()),
        ]
        if not all(isinstance(number, int | float) and isfinite(number) and number >= 0 for number in numbers):
            raise ValueError("a measurement is no number of 0 or more")
        if self.threads not in [count for count, _ in self.trials]:
            raise ValueError(f"{self.threads} threads were not tried")
        for points in (self.tile, self.push):
            _check(points)
        if not self.opening:
            raise ValueError("no format of pictures was measured")

    def encode_s(self, tokens: int) -> float:
        """Seconds to encode a tile of so many visual tokens."""
        return between(self.tile, tokens)

    def push_s(self, tokens: int, position: int) -> float:
        """Seconds of the decoder for tokens in one go, `position` tokens being there already."""
        return between(self.push, tokens) + self.depth * tokens * position

    def opening_s(self, width: int, height: int, kind: str | None) -> float:
        """Seconds from a file to tiles; `kind` is Pillow's name of the format, None for the slowest."""
        rate = self.opening.get(kind or "", max(self.opening.values()))
        return rate * width * height / 1e6

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)


def from_json(data: Mapping[str, Any]) -> Calibration:
    """A calibration of its JSON object. Raises ValueError, TypeError, KeyError where it is none."""
    memory = data["memory"]
    return Calibration(
        threads=_count(data["threads"]),
        trials=_points(data["trials"]),
        tile=_points(data["tile"]),
        push=_points(data["push"]),
        depth=float(data["depth"]),
        token=float(data["token"]),
        opening={str(kind): float(seconds) for kind, seconds in dict(data["opening"]).items()},
        first_encode=float(data["first_encode"]),
        first_context=float(data["first_context"]),
        first_prefill=float(data["first_prefill"]),
        memory=None if memory is None else Memory(**memory),
    )


def rising(points: Sequence[Point]) -> tuple[Point, ...]:
    """Points in order of their tokens, where more tokens never take less: what noise lowered is raised."""
    ordered = sorted(dict(points).items())
    return tuple(zip((tokens for tokens, _ in ordered), accumulate((s for _, s in ordered), max), strict=True))


def between(points: Sequence[Point], tokens: int) -> float:
    """Seconds by the straight line between the two nearest points; past the last one as steep as before it.

    Below the first point it is the share of it.
    """
    (first, seconds), (last, most) = points[0], points[-1]
    if tokens <= first:
        return seconds * tokens / first
    for (left, low), (right, high) in pairwise(points):
        if tokens <= right:
            return low + (high - low) * (tokens - left) / (right - left)
    before, low = points[-2] if len(points) > 1 else (0, 0.0)
    return most + (most - low) * (tokens - last) / (last - before)


def _check(points: tuple[Point, ...]) -> None:
    if not points or points != rising(points) or points[0][0] < 1:
        raise ValueError("the points are not in order")


def _points(data: Sequence[Sequence[Any]]) -> tuple[Point, ...]:
    return tuple((_count(tokens), float(seconds)) for tokens, seconds in data)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r} is no count")
    return value
