"""Scores with their intervals, and what is between two bundles."""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.bench.accuracy.ask import Asked
from magicvl.bench.accuracy.bootstrap import Interval, difference, mean_interval, wilson
from magicvl.bench.accuracy.question import Line


@dataclass(frozen=True)
class Estimate:
    """A line of a table for one bundle."""

    bundle: str
    suite: str
    line: Line
    interval: Interval
    """95 %, as a share."""

    @property
    def share(self) -> float:
        """Mean score, 0 to 1."""
        return self.right / self.asked

    @property
    def right(self) -> float:
        """Sum of the scores: right answers where each is right or wrong."""
        return sum(self.line.values)

    @property
    def asked(self) -> int:
        """How many are scored: questions, or groups of them."""
        return len(self.line.values)

    @property
    def whole(self) -> bool:
        """Whether each is right or wrong and nothing between."""
        return all(value in (0.0, 1.0) for value in self.line.values)

    def to_json(self) -> dict[str, object]:
        """As `--json` has it; scores and intervals are shares, 0 to 1."""
        low, high = self.interval
        return {
            "bundle": self.bundle,
            "suite": self.suite,
            "level": self.line.level,
            "task": self.line.name,
            "right": int(self.right) if self.whole else round(self.right, 6),
            "asked": self.asked,
            "score": round(self.share, 6),
            "low": round(low, 6),
            "high": round(high, 6),
        }


@dataclass(frozen=True)
class Difference:
    """How much better a bundle is than the first one, on the same questions."""

    bundle: str
    first: str
    suite: str
    line: Line
    mean: float
    """As a share; above 0 where the bundle is better."""
    interval: Interval

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {
            "bundle": self.bundle,
            "over": self.first,
            "suite": self.suite,
            "level": self.line.level,
            "task": self.line.name,
            "difference": round(self.mean, 6),
            "low": round(self.interval[0], 6),
            "high": round(self.interval[1], 6),
        }


def estimates(asked: Asked) -> list[Estimate]:
    """Each line of the suite's table."""
    return [_estimate(asked, line) for line in asked.suite.lines(asked.answers)]


def differences(first: Asked, other: Asked) -> list[Difference]:
    """Each line of the table of two bundles that were asked the same suite."""
    lines = zip(other.suite.lines(other.answers), first.suite.lines(first.answers), strict=True)
    return [_difference(other.bundle, first, line, before) for line, before in lines]


def _estimate(asked: Asked, line: Line) -> Estimate:
    if asked.suite.interval == "wilson":
        interval = wilson(sum(line.values) / len(line.values), len(line.values))
    else:
        interval = mean_interval(line.values, line.clusters)
    return Estimate(asked.bundle, asked.suite.name, line, interval)


def _difference(bundle: str, first: Asked, line: Line, before: Line) -> Difference:
    mean, interval = difference(line.values, before.values, line.clusters)
    return Difference(bundle, first.bundle, first.suite.name, line, mean, interval)


def by_line(found: Sequence[Estimate]) -> dict[tuple[str, str, str], list[Estimate]]:
    """Estimates of several bundles by suite, level and name, in the order they come."""
    rows: dict[tuple[str, str, str], list[Estimate]] = {}
    for each in found:
        rows.setdefault((each.suite, each.line.level, each.line.name), []).append(each)
    return rows
