"""How fast samples are drawn."""

import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

from magicvl.train.generator.registry import DATASETS, stream

_WARM = 3
"""Samples of each dataset that are drawn before the clock starts: fonts and word lists are loaded then."""


@dataclass(frozen=True)
class Speed:
    """What was drawn, and in what time."""

    samples: int
    wall_s: float
    """Of the slowest worker, after its start."""
    cpu_s: float
    """Of all workers together."""

    @property
    def per_second(self) -> float:
        """Samples a second of all workers together."""
        return self.samples / self.wall_s

    @property
    def per_cpu_second(self) -> float:
        """Samples a second of one core that does nothing else."""
        return self.samples / self.cpu_s


def measure(samples: int, workers: int = 1, weights: Mapping[str, float] | None = None, seed: int = 0) -> Speed:
    """Draws that many samples of a mixture (all datasets, where none is named) in so many processes at once."""
    # Forked workers would inherit what is loaded already; a trainer's fresh ones have to load it.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_work, samples // workers, weights, seed, worker, workers) for worker in range(workers)]
        times = [job.result() for job in jobs]
    return Speed(samples // workers * workers, max(wall for wall, _ in times), sum(cpu for _, cpu in times))


def _work(
    samples: int, weights: Mapping[str, float] | None, seed: int, worker: int, workers: int
) -> tuple[float, float]:
    for name in weights or DATASETS:
        for index in range(_WARM):
            DATASETS[name].sample(seed + 1, index)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in islice(stream(weights, seed, worker=worker, workers=workers), samples):
        pass
    return time.perf_counter() - wall, time.process_time() - cpu
