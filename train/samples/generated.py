"""Generated samples by number: several datasets in turn, without end."""

from typing import Self

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import Dataset, Split
from magicvl.train.samples.sample import CATEGORIES, Category, Sample
from magicvl.train.samples.source import Endless


class Generated(Endless):
    """Sample `n` is drawn by the dataset whose turn it is; any two machines draw the same."""

    def __init__(self, kinds: tuple[Dataset, ...], seed: int, split: Split, first: int = 0, step: int = 1) -> None:
        self._kinds = kinds
        self._seed = seed
        self._split = split
        self._first = first
        self._step = step

    def read(self, index: int) -> Sample:
        """The sample of a number from 0 on."""
        number, turn = divmod(self._first + index * self._step, len(self._kinds))
        return self._kinds[turn].sample(self._seed, number, self._split)

    def share(self, first: int, step: int) -> Self:
        """Those with the numbers first, first + step and so on."""
        begin = self._first + first * self._step
        return type(self)(self._kinds, self._seed, self._split, begin, step * self._step)

    def shuffled(self, seed: int) -> Self:
        """The same: they are drawn at random already."""
        return self


def open_generated(names: str, seed: int, split: Split) -> Generated:
    """The datasets of these names, categories, or `all`, separated by commas. Raises UsageError."""
    from magicvl.train.generator.registry import DATASETS

    kinds: dict[str, Dataset] = {}
    for name in names.split(","):
        for kind in _named(name.strip(), DATASETS):
            kinds[kind.name] = kind
    return Generated(tuple(kinds.values()), seed, split)


def _named(name: str, known: dict[str, Dataset]) -> list[Dataset]:
    if name in known:
        return [known[name]]
    found = [kind for kind in known.values() if name in ("all", kind.category)]
    if not found:
        categories: list[Category] = [
            each for each in CATEGORIES if any(kind.category == each for kind in known.values())
        ]
        raise UsageError(
            f"generated:{name}: no dataset and no category; there are {', '.join(sorted(known))}; "
            f"and {', '.join(categories)}, all"
        )
    return found
