"""A long film goes by windows, each a little film of its own: its frames' times count from where it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil


@dataclass(frozen=True)
class Window:
    """A part of a film that is described at once."""

    begin: float
    """In seconds from the film's beginning."""
    end: float
    times: tuple[float, ...]
    """Of its frames, in seconds from the film's beginning."""


def windows(times: Sequence[float], begin: float, end: float, most: int) -> list[Window]:
    """As few windows as hold all frames, of at most `most` each, and as equal as can be; they meet between frames."""
    count = ceil(len(times) / most)
    edges = [len(times) * i // count for i in range(count + 1)]
    meet = [begin, *((times[i - 1] + times[i]) / 2 for i in edges[1:-1]), end]
    return [Window(meet[i], meet[i + 1], tuple(times[first:last])) for i, (first, last) in enumerate(pairwise(edges))]
