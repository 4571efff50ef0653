"""Films that are shown with what was said of them: some of a suite, from those told best to those told worst."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from magicvl.bench.video.measures import Measure
from magicvl.bench.video.score import Scored, ScoredRun


@dataclass(frozen=True)
class Example:
    """A film and what each arm said of it."""

    scored: tuple[tuple[str, Scored], ...]
    """By the run's name; the same film in all of them."""
    frames: tuple[tuple[float, Image.Image], ...]
    """What the first of them saw, with the times."""
    measures: tuple[Measure, ...]
    """Of its suite."""

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        first = self.scored[0][1]
        return {
            "film": first.item.id,
            "truth": first.told.reference.caption,
            "events": list(first.told.reference.events),
            "said": [
                {
                    "run": name,
                    "text": each.told.text,
                    **{column: round(value, 6) for column, value in each.columns.items()},
                    "verdicts": [
                        {"kind": one.kind, "text": one.text, "said": one.said, "right": one.right}
                        for one in each.verdicts
                    ],
                }
                for name, each in self.scored
            ],
        }


def choose_examples(runs: Sequence[ScoredRun], most: int) -> list[Example]:
    """Films evenly spread over how well the last arm tells them, the best first; of each arm its first run speaks."""
    speaking: dict[str, ScoredRun] = {}
    for each in runs:
        speaking.setdefault(each.run.arm, each)
    last = list(speaking.values())[-1]
    values = [film_value(last.suite.measures[0], film) or 0.0 for film in last.films]
    order = sorted(range(len(values)), key=lambda place: -values[place])
    chosen = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int).tolist()
    return [
        _example([(each.run.name, each.films[order[place]]) for each in speaking.values()], last.suite.measures)
        for place in chosen
    ]


def film_value(measure: Measure, scored: Scored) -> float | None:
    """A measure of one film; None where it was not measured."""
    if not set(measure.columns) <= set(scored.columns):
        return None
    return float(measure.of(np.array([scored.columns[name] for name in measure.columns], np.float64)))


def _example(scored: Sequence[tuple[str, Scored]], measures: tuple[Measure, ...]) -> Example:
    first = scored[0][1]
    frames = first.item.open().frames(first.told.times)
    return Example(tuple(scored), tuple((frame.time, frame.picture) for frame in frames), measures)
