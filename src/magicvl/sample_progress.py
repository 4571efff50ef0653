"""The line that shows how far a job over samples is: on stderr, where that is a terminal."""

import shutil
import sys
import time

from magicvl.edge.batch_progress import duration

REDRAW_SECONDS = 0.2
"""Shortest time between two lines."""


class SampleProgress:
    """Draws the line anew as samples are done."""

    def __init__(self, what: str, total: int | None) -> None:
        """`what` is done to them; `total` is None where nobody knows how many there are."""
        self._what = what
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._before: int | None = None

    def __call__(self, done: int, more: str = "") -> None:
        """So many are done, those of earlier runs among them; `more` stands behind the rate."""
        now = time.monotonic()
        if self._before is None:
            self._before = done - 1
        if not self._terminal or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        line = self.line(done, now - self._started, more)
        print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)

    def line(self, done: int, seconds: float, more: str = "") -> str:
        """The line after so many samples and seconds of this run."""
        of = "" if self._total is None else f" of {self._total:,}"
        parts = [f"{self._what} {done:,}{of} samples"]
        fresh = done - (self._before or 0)
        if fresh > 0 and seconds > 0:
            parts.append(f"{fresh / seconds:.1f} samples/s")
            if self._total is not None:
                parts.append(f"{duration((self._total - done) * seconds / fresh)} left")
        return ", ".join([*parts, more] if more else parts)

    def clear(self) -> None:
        """Takes the line away."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
