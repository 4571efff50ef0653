"""What was measured of each arm with its interval, and what is between two arms.

An arm is a way to make a model; trained with several seeds it has several runs, each a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from magicvl.bench.accuracy.bootstrap import Interval, percentiles, wilson
from magicvl.bench.video.crossed import means, resampled_means
from magicvl.bench.video.measures import Floats, Measure
from magicvl.errors import UsageError

LEAST_SPREAD = 1e-12
"""Of resampled values; below, the bootstrap says nothing."""


@dataclass(frozen=True)
class Arm:
    """The runs of an arm on one suite."""

    name: str
    seeds: tuple[str, ...]
    """What tells its runs apart; one empty text for an arm of one run without a seed."""
    films: tuple[str, ...]
    """Ids, in the suite's order."""
    columns: tuple[str, ...]
    values: Floats
    """Shape (seeds, films, columns); NaN for what was not measured."""

    def places(self, measure: Measure) -> list[int]:
        """Where the columns of a measure are."""
        return [self.columns.index(name) for name in measure.columns]

    def has(self, measure: Measure) -> bool:
        """Whether anything was measured of it."""
        if not set(measure.columns) <= set(self.columns):
            return False
        return not bool(np.isnan(self.values[..., self.places(measure)]).all(axis=(0, 1)).any())

    def value(self, measure: Measure) -> float:
        """The measure of all runs and films."""
        return float(measure.of(means(self.values[..., self.places(measure)])))

    def by_seed(self, measure: Measure) -> dict[str, float]:
        """The measure of each run."""
        return {
            seed: replace(self, values=self.values[[place]]).value(measure) for place, seed in enumerate(self.seeds)
        }

    def only(self, films: Iterable[str]) -> "Arm":
        """The arm on some of its films."""
        chosen = set(films)
        places = [place for place, film in enumerate(self.films) if film in chosen]
        return replace(self, films=tuple(self.films[place] for place in places), values=self.values[:, places])


@dataclass(frozen=True)
class Estimate:
    """A line of a table for one arm."""

    arm: str
    measure: Measure
    group: str
    """Of films; empty for all of them."""
    value: float
    interval: Interval
    """95 %."""
    seeds: Mapping[str, float]
    """Each run by itself."""
    films: int

    def to_json(self) -> dict[str, object]:
        """As `--json` has it: shares, not per cent."""
        return {
            "arm": self.arm,
            "measure": self.measure.name,
            **({"group": self.group} if self.group else {}),
            **_rounded(self.value, self.interval),
            "films": self.films,
            **({"seeds": {seed: round(value, 6) for seed, value in self.seeds.items()}} if len(self.seeds) > 1 else {}),
        }


@dataclass(frozen=True)
class Difference:
    """How much more an arm has than the first one, on the same films and seeds."""

    arm: str
    over: str
    measure: Measure
    value: float
    interval: Interval
    """95 %, paired."""
    seeds: Mapping[str, float]
    """Of each seed that both have."""

    @property
    def beyond(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.interval[0] <= 0 <= self.interval[1]

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {
            "arm": self.arm,
            "over": self.over,
            "measure": self.measure.name,
            **_rounded(self.value, self.interval),
            **({"seeds": {seed: round(value, 6) for seed, value in self.seeds.items()}} if len(self.seeds) > 1 else {}),
        }


def make_arm(name: str, runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Arm:
    """An arm of its runs: by seed, by film, by column. Every run has the same films."""
    films = tuple(next(iter(runs.values())))
    columns = tuple(dict.fromkeys(column for run in runs.values() for film in run.values() for column in film))
    values = [[[run[film].get(column, np.nan) for column in columns] for film in films] for run in runs.values()]
    return Arm(name, tuple(runs), films, columns, np.array(values, np.float64))


def estimates(arm: Arm, measures: Sequence[Measure], group: str = "") -> list[Estimate]:
    """The measures that were measured of an arm, with their intervals."""
    drawn = resampled_means(arm.values)
    return [_estimate(arm, measure, group, drawn) for measure in measures if arm.has(measure)]


def differences(arm: Arm, first: Arm, measures: Sequence[Measure]) -> list[Difference]:
    """What an arm has more than another, paired by film and by seed, in what was measured of both.

    An arm of one run is paired with every seed of the other. Raises UsageError where no seed is in common.
    """
    both = [measure for measure in measures if arm.has(measure) and first.has(measure)]
    columns = tuple(dict.fromkeys(name for measure in both for name in measure.columns))
    if not columns:
        return []
    seeds = _common(arm, first)
    ours, theirs = (_paired(each, columns, seeds) for each in (arm, first))
    # What only one of them was measured on is no difference.
    ours, theirs = (
        replace(each, values=each.values + 0 * other.values) for each, other in ((ours, theirs), (theirs, ours))
    )
    drawn = resampled_means(ours.values), resampled_means(theirs.values)
    return [_difference(ours, theirs, measure, drawn) for measure in both if ours.has(measure)]


def _estimate(arm: Arm, measure: Measure, group: str, drawn: Floats) -> Estimate:
    value = arm.value(measure)
    interval = _interval(measure.of(drawn[:, arm.places(measure)]))
    if measure.share and interval[1] - interval[0] < LEAST_SPREAD:
        # Where all films are alike the bootstrap sees no spread, however few they are.
        interval = wilson(value, len(arm.films))
    return Estimate(arm.name, measure, group, value, interval, arm.by_seed(measure), len(arm.films))


def _difference(ours: Arm, theirs: Arm, measure: Measure, drawn: tuple[Floats, Floats]) -> Difference:
    places = ours.places(measure)
    more, less = (measure.of(each[:, places]) for each in drawn)
    others = theirs.by_seed(measure)
    return Difference(
        ours.name,
        theirs.name,
        measure,
        ours.value(measure) - theirs.value(measure),
        _interval(more - less),
        {seed: value - others[seed] for seed, value in ours.by_seed(measure).items()},
    )


def _interval(drawn: Floats) -> Interval:
    """Draws in which nothing was measured say nothing."""
    return percentiles(drawn[~np.isnan(drawn)])


def _common(arm: Arm, first: Arm) -> tuple[str, ...]:
    if len(arm.seeds) == 1 or len(first.seeds) == 1:
        return max(arm.seeds, first.seeds, key=len)
    seeds = tuple(seed for seed in first.seeds if seed in arm.seeds)
    if not seeds:
        raise UsageError(
            f"{arm.name} has the seeds {', '.join(arm.seeds)}, {first.name} {', '.join(first.seeds)}: none in common, "
            f"so nothing can be paired"
        )
    return seeds


def _paired(arm: Arm, columns: tuple[str, ...], seeds: tuple[str, ...]) -> Arm:
    """The arm with these columns and seeds; of one run it stands for every seed."""
    values = arm.values[..., [arm.columns.index(name) for name in columns]]
    chosen = [0] * len(seeds) if len(arm.seeds) == 1 else [arm.seeds.index(seed) for seed in seeds]
    return Arm(arm.name, seeds, arm.films, columns, values[chosen])


def _rounded(value: float, interval: Interval) -> dict[str, float]:
    return {"value": round(value, 6), "low": round(interval[0], 6), "high": round(interval[1], 6)}
