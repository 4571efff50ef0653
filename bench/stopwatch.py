"""CPU and wall seconds by case, and their medians."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """One case: medians over the rounds."""

    case: str
    cpu_s: float
    wall_s: float
    tokens: int
    """Prompt tokens, visual ones among them; of the last one where a case is many questions."""
    rounds: int


class Stopwatch:
    """Measures this process, and takes what others measured of theirs."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[float, float]]] = {}
        self.tokens: dict[str, int] = {}

    @contextmanager
    def measure(self, case: str) -> Iterator[None]:
        """Adds what runs inside to a case."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.add(case, time.process_time() - cpu, time.perf_counter() - wall)

    def add(self, case: str, cpu_s: float, wall_s: float, tokens: int | None = None) -> None:
        """Adds one measurement of a case."""
        self.times.setdefault(case, []).append((cpu_s, wall_s))
        if tokens is not None:
            self.tokens[case] = tokens

    def costs(self) -> tuple[Cost, ...]:
        """Medians of every case, in the order of their first measurement."""
        return tuple(
            Cost(
                case,
                statistics.median(cpu for cpu, _ in times),
                statistics.median(wall for _, wall in times),
                self.tokens.get(case, 0),
                len(times),
            )
            for case, times in self.times.items()
        )
