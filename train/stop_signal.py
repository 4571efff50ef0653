"""Ctrl-C and SIGTERM: a run stops between two steps, and its workers leave that to it."""

import os
import signal
from collections.abc import Callable
from types import FrameType


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a request to stop after the step; the second ends the process."""

    def __enter__(self) -> Callable[[], bool]:
        self._asked = False
        self._before = {name: signal.signal(name, self._ask) for name in (signal.SIGINT, signal.SIGTERM)}
        return lambda: self._asked

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self._asked:
            os._exit(128 + number)
        self._asked = True


def ignore_interrupt() -> None:
    """For a worker process: either may reach the whole group, and the main process decides when to stop."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
