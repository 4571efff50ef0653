"""What a run learns from, made by worker processes before it is needed."""

import warnings
from collections.abc import Generator
from typing import TypeVar

import torch

from magicvl.train.stop_signal import ignore_interrupt

Item = TypeVar("Item")


def load_ahead(items: torch.utils.data.Dataset[Item], start: int, workers: int) -> Generator[Item, None, None]:
    """The items of a dataset that has a length, from `start` on, made by so many processes; 0 makes them here.

    To be closed: workers leave signals to the main process, and one that is still there would keep it from its end.
    """
    with warnings.catch_warnings():
        # More of them than cores are the caller's choice.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = torch.utils.data.DataLoader(
            torch.utils.data.Subset(items, range(start, len(items))),  # type: ignore[arg-type]
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_begin,
        )
    yield from loader


def _begin(_worker: int) -> None:
    ignore_interrupt()
    # There are as many processes as cores.
    torch.set_num_threads(1)
