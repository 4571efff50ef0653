"""What is measured: bundles that caption, and texts that were generated elsewhere, each a run of an arm.

BUNDLE                     an arm by itself, called as its folder
texts.jsonl                texts of another runtime, of a row each
grpo/1=PATH                the run with seed 1 of the arm grpo, either of the two
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magicvl.bench.accuracy.ask import bundle_names
from magicvl.errors import UsageError

TEXTS = (".jsonl", ".json")
"""End the name of a file of texts."""
_NAMED = re.compile(r"(?P<arm>[^/=]+)(?:/(?P<seed>[^/=]+))?=(?P<path>.+)")


@dataclass(frozen=True)
class Run:
    """A model that is measured."""

    arm: str
    seed: str
    """Empty for an arm of one run."""
    path: Path

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.arm}/{self.seed}" if self.seed else self.arm

    @property
    def from_texts(self) -> bool:
        """Whether its texts are there already."""
        return self.path.suffix in TEXTS


def parse_runs(given: Sequence[str]) -> tuple[Run, ...]:
    """The runs of a command line. Raises UsageError where one is given twice."""
    named = [None if Path(text).exists() else _NAMED.fullmatch(text) for text in given]
    usual = iter(_usual([Path(text) for text, match in zip(given, named, strict=True) if match is None]))
    runs = tuple(
        next(usual) if match is None else Run(match["arm"], match["seed"] or "", Path(match["path"])) for match in named
    )
    _check(runs)
    return runs


def _usual(paths: list[Path]) -> list[Run]:
    whole = bundle_names(paths)
    plain = [
        name.removesuffix(path.suffix) if path.suffix in TEXTS else name
        for name, path in zip(whole, paths, strict=True)
    ]
    short = [each if plain.count(each) == 1 else name for each, name in zip(plain, whole, strict=True)]
    return [Run(name, "", path) for name, path in zip(short, paths, strict=True)]


def _check(runs: Sequence[Run]) -> None:
    for what, count in [*Counter(run.name for run in runs).items(), *Counter(run.path for run in runs).items()]:
        if count > 1:
            raise UsageError(f"{what}: given twice; runs of one arm are told apart as ARM/SEED=PATH")
    for run in runs:
        if not run.seed and any(other.arm == run.arm and other.seed for other in runs):
            raise UsageError(f"{run.path}: which run of {run.arm}? Write {run.arm}/SEED={run.path}")
