"""All that is reported of one suite: each arm, its groups of films, and what is between the arms."""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.bench.video.estimates import Arm, Difference, Estimate, differences, estimates
from magicvl.bench.video.score import ScoredRun, grouped, make_arms
from magicvl.bench.video.suite import VideoSuite


@dataclass(frozen=True)
class Results:
    """A suite's tables."""

    suite: VideoSuite
    found: tuple[Estimate, ...]
    by_group: tuple[tuple[str, tuple[Estimate, ...]], ...]
    """By kind of group: the suite's first measure of each group."""
    between: tuple[Difference, ...]
    """Each arm over the first, and over the one before it."""
    notes: tuple[str, ...]
    """What a reader should know."""

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {
            "suite": self.suite.name,
            "films": len(self.suite.items),
            "notes": list(self.notes),
            "scores": [each.to_json() for each in self.found],
            "groups": {kind: [each.to_json() for each in found] for kind, found in self.by_group},
            "differences": [each.to_json() for each in self.between],
        }


def make_results(runs: Sequence[ScoredRun]) -> Results:
    """The tables of runs on one suite. Raises UsageError where runs of two arms cannot be paired."""
    suite, arms = runs[0].suite, make_arms(runs)
    notes = (*suite.notes, runs[0].judged)
    found = [each for arm in arms for each in estimates(arm, suite.measures)]
    between = [each for arm, other in _pairs(arms) for each in differences(arm, other, suite.measures)]
    return Results(suite, tuple(found), tuple(_by_group(suite, arms)), tuple(between), notes)


def _pairs(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Each arm with the first, then with the one before it."""
    chain = [(arms[place], arms[place - 1]) for place in range(2, len(arms))]
    return [*((arm, arms[0]) for arm in arms[1:]), *chain]


def _by_group(suite: VideoSuite, arms: Sequence[Arm]) -> list[tuple[str, tuple[Estimate, ...]]]:
    return [
        (
            kind,
            tuple(
                each
                for name, films in groups.items()
                for arm in arms
                for each in estimates(arm.only(films), suite.measures[:1], name)
            ),
        )
        for kind, groups in grouped(suite).items()
    ]
