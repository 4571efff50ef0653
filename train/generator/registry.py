"""All generated datasets by name, and the stream of their samples.

The modules are light: what needs the pack of objects opens it when it draws.
"""

import random
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import SPLITS, Dataset, Split
from magicvl.train.samples.sample import Category, Sample


def _gather() -> dict[str, Dataset]:
    """The tuple DATASETS of every file in the folders beside this one."""
    found: dict[str, Dataset] = {}
    for folder in sorted(path.name for path in Path(__file__).parent.iterdir() if (path / "__init__.py").exists()):
        package = import_module(f"magicvl.train.generator.{folder}")
        for name in sorted(module.name for module in iter_modules(package.__path__, f"{package.__name__}.")):
            for dataset in getattr(import_module(name), "DATASETS", ()):
                if dataset.name in found:
                    raise AssertionError(f"two generated datasets are called {dataset.name}")
                found[dataset.name] = dataset
    return found


DATASETS: dict[str, Dataset] = _gather()
"""By name."""


def datasets(category: Category | None = None) -> tuple[Dataset, ...]:
    """The datasets of one category, or all."""
    return tuple(dataset for dataset in DATASETS.values() if category in (None, dataset.category))


def stream(
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    split: Split = "train",
    worker: int = 0,
    workers: int = 1,
) -> Iterator[Sample]:
    """An endless mixture of datasets, by name and weight; all of them in equal parts where none is named.

    Sample `i` of the mixture is the same however many workers there are; each of them draws every so manieth.
    Raises UsageError for a name that is not there, a weight below zero, or a worker beyond their number.
    """
    mixture = dict.fromkeys(DATASETS, 1.0) if weights is None else dict(weights)
    _check(mixture, split, worker, workers)
    return _draw(mixture, seed, split, worker, workers)


def _draw(mixture: dict[str, float], seed: int, split: Split, worker: int, workers: int) -> Iterator[Sample]:
    names, shares = list(mixture), list(mixture.values())
    index = worker
    while True:
        name = random.Random(f"mixture {split} {seed} {index}").choices(names, shares)[0]
        yield DATASETS[name].sample(seed, index, split)
        index += workers


def _check(mixture: Mapping[str, float], split: Split, worker: int, workers: int) -> None:
    if unknown := sorted(set(mixture) - set(DATASETS)):
        raise UsageError(f"no generated dataset is called {unknown[0]!r}; there are {', '.join(sorted(DATASETS))}")
    if min(mixture.values(), default=0) < 0 or not sum(mixture.values()) > 0:
        raise UsageError("a mixture's weights must not be below zero, and one must be above it")
    if split not in SPLITS:
        raise UsageError(f"split {split!r}; there are {', '.join(SPLITS)}")
    if not 0 <= worker < workers:
        raise UsageError(f"worker {worker} of {workers}: workers are numbered from 0")
