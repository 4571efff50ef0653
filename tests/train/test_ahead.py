"""What is made ahead: in order, from anywhere on, and by processes that are gone when it is closed."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from multiprocessing import active_children

import pytest
import torch

from magicvl.train.ahead import load_ahead

ENDS = """
import torch
from magicvl.train.ahead import load_ahead
from contextlib import closing

class Numbers(torch.utils.data.Dataset):
    def __len__(self): return 9
    def __getitem__(self, number): return number

def some():
    with closing(load_ahead(Numbers(), 0, 1)) as made:
        next(made)
        raise RuntimeError("in between")

kept = None
try:
    some()
except RuntimeError as error:
    kept = error  # and with it the frame, as matplotlib does
print("over")
"""


class Numbers(torch.utils.data.Dataset[int]):
    """0 to 8."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, number: int) -> int:
        return number


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_order_from_anywhere_on(workers: int) -> None:
    assert list(load_ahead(Numbers(), 4, workers)) == [4, 5, 6, 7, 8]


def test_closed_it_leaves_no_process() -> None:
    with closing(load_ahead(Numbers(), 0, 2)) as made:
        assert [next(made), next(made)] == [0, 1], "both have begun"
        workers = active_children()
        assert len(workers) == 2
        for worker in workers:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGTERM)
        assert list(made) == [*range(2, 9)], "a signal to the group is the main process's affair"
    assert not any(worker.is_alive() for worker in workers)


def test_a_process_ends_that_keeps_the_frame_of_a_loop() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
