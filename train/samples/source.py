"""Samples one after another or by number, and the parts of them that workers take.

Stream              in an order, perhaps without end: WebDataset shards, generated ones
└── Samples         and by number, as many as there are: LLaVA, Hugging Face
    └── Picked      some of another's, in another order
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Self, overload

import numpy as np

from magicvl.errors import UsageError
from magicvl.train.samples.sample import Sample

Try = Callable[[], Sample]
"""Reads one sample; raises SampleError or PictureError where it cannot be read. Call it before the next is taken."""


class Stream(ABC):
    """Samples in an order, read as they are asked for."""

    @abstractmethod
    def tries(self, begin: int = 0) -> Iterator[Try]:
        """What reads each sample, from number `begin` on; those before are not read."""

    @abstractmethod
    def shard(self, worker: int, workers: int) -> "Stream":
        """The part of one of several workers: every sample is in exactly one of them, whoever reads first."""

    @abstractmethod
    def shuffled(self, seed: int) -> "Stream":
        """The same samples in an order that the seed decides."""

    def __iter__(self) -> Iterator[Sample]:
        return (attempt() for attempt in self.tries())


class Samples(Stream, Sequence[Sample]):
    """Samples by number."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample of a number from 0 to the length less 1."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "Samples": ...

    def __getitem__(self, index: int | slice) -> "Sample | Samples":
        if isinstance(index, slice):
            return Picked(self, range(len(self))[index])
        return self.read(range(len(self))[index])

    def tries(self, begin: int = 0) -> Iterator[Try]:
        """What reads each sample, from number `begin` on."""
        return (partial(self.read, index) for index in range(begin, len(self)))

    def shard(self, worker: int, workers: int) -> "Samples":
        """Every so many-th sample."""
        check_share(worker, workers)
        return Picked(self, range(worker, len(self), workers))

    def shuffled(self, seed: int) -> "Samples":
        """All of them in an order that the seed decides; takes eight bytes a sample."""
        order = np.random.default_rng(seed).permutation(len(self))
        return Picked(self, order)

    def __iter__(self) -> Iterator[Sample]:
        return Stream.__iter__(self)


class Picked(Samples):
    """Some of other samples, in an order of its own."""

    def __init__(self, base: Samples, numbers: "Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        self._base = base
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, index: int) -> Sample:
        """The sample of that number among these."""
        return self._base.read(int(self._numbers[index]))


class Endless(Stream):
    """Samples by any number, without end."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample of a number from 0 on."""

    @abstractmethod
    def share(self, first: int, step: int) -> Self:
        """Those with the numbers first, first + step, first + 2 step and so on."""

    def __getitem__(self, index: int) -> Sample:
        if index < 0:
            raise IndexError(f"sample {index}: they are counted from 0, without end")
        return self.read(index)

    def tries(self, begin: int = 0) -> Iterator[Try]:
        """What makes each sample, from number `begin` on."""
        while True:
            yield partial(self.read, begin)
            begin += 1

    def shard(self, worker: int, workers: int) -> Self:
        """Every so many-th sample."""
        check_share(worker, workers)
        return self.share(worker, workers)


def check_share(worker: int, workers: int) -> None:
    """Raises UsageError where there is no such worker."""
    if workers < 1 or not 0 <= worker < workers:
        raise UsageError(f"worker {worker} of {workers}: workers are counted from 0 to their number less 1")
