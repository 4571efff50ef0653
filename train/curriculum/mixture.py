"""Which sample a number means: several sources by their weights, each gone through epoch by epoch.

A sample is a function of the stage's seed and its number alone, whoever asks first: that makes a run the same on any
number of workers and devices, and lets it go on exactly where it was.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from magicvl.errors import UsageError
from magicvl.train.complexity.table import Level, levels, read_table
from magicvl.train.curriculum.stage import Data, Stage
from magicvl.train.generator.dataset import Split
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Endless, Picked, Samples, Stream, Try

PERIOD = 1000
"""Numbers after which the turns of the sources repeat: a weight counts to a thousandth."""


class Reading:
    """A stream by number: it reads on from where it is, and from the start for a number behind."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._tries: Iterator[Try] = iter(())
        self._next = 0
        self._begun = False

    def read(self, index: int) -> Sample:
        """The sample of that number; past its end the stream begins again. Raises UsageError for an empty one."""
        if not self._begun or index < self._next:
            self._begin(index)
        while True:
            attempt = next(self._tries, None)
            if attempt is None:
                self._wrap(index)
                continue
            self._next += 1
            if self._next > index:
                return attempt()

    def _begin(self, index: int) -> None:
        self._tries, self._next, self._begun = self._stream.tries(index), index, True

    def _wrap(self, index: int) -> None:
        first = next(self._stream.tries(), None)
        if first is None:
            raise UsageError("a source of samples is empty")
        self._tries = self._stream.tries()


@dataclass(frozen=True)
class Source:
    """One kind of samples of a mixture."""

    samples: Samples | Endless | Reading
    turns: tuple[int, ...]
    """Its numbers within a period."""
    seed: int

    def read(self, count: int) -> Sample:
        """Its so-many-th sample: in an order of its own in every epoch, where it has a length."""
        if not isinstance(self.samples, Samples):
            return self.samples.read(count)
        epoch, place = divmod(count, len(self.samples))
        return self.samples[self._shuffled(place, epoch)]

    def _shuffled(self, place: int, epoch: int) -> int:
        """A place of the epoch's order: an affine map, which takes no memory however many samples there are."""
        assert isinstance(self.samples, Samples)
        total = len(self.samples)
        rng = random.Random(f"{self.seed} {epoch}")
        factor = rng.randrange(1, total + 1)
        while math.gcd(factor, total) > 1:
            factor = rng.randrange(1, total + 1)
        return (place * factor + rng.randrange(total)) % total


class Mixture:
    """The samples of a stage by their number, from 0 on, without end."""

    def __init__(self, stage: Stage, split: Split = "train") -> None:
        self._stage = stage
        self._split: Split = split

    def sample(self, number: int) -> Sample:
        """The sample of that number."""
        period, turn = divmod(number, PERIOD)
        source, rank = self._turns[turn]
        return source.read(period * len(source.turns) + rank)

    @cached_property
    def _turns(self) -> list[tuple[Source, int]]:
        # Made where it is first needed: every worker opens files of its own.
        shares = share_out([each.weight for each in self._stage.data], PERIOD)
        owners = [owner for owner, share in enumerate(shares) for _ in range(share)]
        random.Random(f"turns {self._stage.seed}").shuffle(owners)
        known = levels(read_table(Path(self._stage.complexity))) if self._stage.complexity else {}
        places = [[turn for turn, owner in enumerate(owners) if owner == i] for i in range(len(shares))]
        sources = [
            Source(_open(each, self._stage.seed, self._split, known), tuple(its), self._stage.seed + i)
            for i, (each, its) in enumerate(zip(self._stage.data, places, strict=True))
        ]
        ranks = {turn: rank for its in places for rank, turn in enumerate(its)}
        return [(sources[owner], ranks[turn]) for turn, owner in enumerate(owners)]


def share_out(weights: list[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, as near to the weights as they can be, none below one."""
    exact = [weight * total / sum(weights) for weight in weights]
    shares = [max(1, int(each)) for each in exact]
    by_rest = sorted(range(len(weights)), key=lambda i: shares[i] - exact[i])
    for i in range(total - sum(shares)):
        shares[by_rest[i % len(shares)]] += 1
    while sum(shares) > total:
        shares[max(range(len(shares)), key=lambda i: shares[i])] -= 1
    return shares


def _open(data: Data, seed: int, split: Split, known: dict[str, Level]) -> Samples | Endless | Reading:
    """The samples that are wanted of a source."""
    if data.spec.startswith("generated:"):
        return _generated(data, seed, split, known)
    stream = open_samples(data.spec, seed, split)

    def wanted(sample: Sample) -> bool:
        return _is_wanted(data, sample.category, sample.source, known)

    if isinstance(stream, Samples):
        if data.level is None and not data.categories:
            return stream
        chosen = [index for index in range(len(stream)) if wanted(stream[index])]
        if not chosen:
            raise UsageError(f"{data.spec}: none of its {len(stream)} samples is wanted {_wish(data)}")
        return Picked(stream, chosen)
    if data.level is not None or data.categories:
        raise UsageError(f"{data.spec}: a stream can't be filtered while it is read; write the part that is wanted")
    return Reading(stream)


def _generated(data: Data, seed: int, split: Split, known: dict[str, Level]) -> Samples | Endless | Reading:
    """Generated datasets are chosen by name, before anything is drawn."""
    from magicvl.train.generator.registry import DATASETS

    named = [name.strip() for name in data.spec.removeprefix("generated:").split(",")]
    kinds = [
        kind.name
        for kind in DATASETS.values()
        if {kind.name, kind.category, "all"} & set(named)
        and _is_wanted(data, kind.category, f"generated/{kind.name}", known)
    ]
    if unknown := [name for name in named if name not in {*DATASETS, *(k.category for k in DATASETS.values()), "all"}]:
        open_samples(f"generated:{unknown[0]}", seed, split)  # says what there is
    if not kinds:
        raise UsageError(f"{data.spec}: none of its datasets is wanted {_wish(data)}")
    stream = open_samples(f"generated:{','.join(kinds)}", seed, split)
    assert isinstance(stream, Endless)
    return stream


def _is_wanted(data: Data, category: str, source: str, known: dict[str, Level]) -> bool:
    return (not data.categories or category in data.categories) and data.level in (None, known.get(source))


def _wish(data: Data) -> str:
    return f"(categories {', '.join(data.categories) or 'any'}; level {data.level or 'any'})"
