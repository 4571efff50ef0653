"""Taking time and memory of what is done: repeated where it is short, the median counts."""

import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

Clock = Callable[[], float]
"""Seconds since some time: `time.perf_counter`, or `time.process_time` where other work disturbs."""

REPEAT_SECONDS: Final = 0.25
"""What is over sooner is measured again, MOST_REPEATS times at most."""
MOST_REPEATS: Final = 5


def median(act: Callable[[], object], clock: Clock, before: Callable[[], bool | None] = lambda: None) -> float:
    """Seconds that `act` takes; `before` makes it ready each time, or says that it can't be made so again."""
    taken: list[float] = []
    while not taken or (sum(taken) < REPEAT_SECONDS and len(taken) < MOST_REPEATS):
        if before() is False and taken:
            break
        begun = clock()
        act()
        taken.append(clock() - begun)
    return statistics.median(taken)


def resident() -> int | None:
    """Bytes of this process that are in memory now, mapped files among them; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
