"""Ctrl-C that asks a job to stop where it is whole, before it stops it at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c(says: str = "") -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; pressed again it is a KeyboardInterrupt. `says` goes to stderr at the first."""
    pressed = False

    def press(_signal: int, _frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        # Not print: the signal may have come in the middle of one.
        os.write(2, says.encode())

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
