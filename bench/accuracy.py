"""Accuracy of a bundle in the runtime that ships: held-out pictures, exact answers, by task."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from magicvl.edge.engine import Engine
from magicvl.train.nano.config import Stage
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.evaluate import held_out_samples

SIZES = Stage(start=0, max_side=26, max_tokens=300)
"""From one visual token to several tiles."""


@dataclass(frozen=True)
class Score:
    """Exact answers of one task."""

    task: str
    right: int
    asked: int

    @property
    def share(self) -> float:
        """Right answers among all, 0 to 1."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share (Wilson 1927)."""
        z, n, p = 1.96, self.asked, self.share
        centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


@dataclass(frozen=True)
class Miss:
    """A question that was answered wrongly."""

    task: str
    prompt: str
    expected: str
    answer: str
    picture: int
    """Number of the held-out picture."""


def measure(engine: Engine, pictures: int, progress: Callable[[int, int], None]) -> tuple[list[Score], list[Miss]]:
    """Asks every question of so many held-out pictures; an answer counts if it equals the truth exactly.

    Seeds, fonts and backgrounds are those that training never sees. `progress` gets pictures done and in all.
    """
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    misses: list[Miss] = []
    for number, sample in enumerate(held_out_samples("test", pictures, SIZES)):
        progress(number, pictures)
        picture = draw_scene(sample.scene)
        for question in sample.questions:
            answer = engine.ask(picture, question.prompt, max_tokens=48)
            asked[question.task] += 1
            right[question.task] += answer == question.answer
            if answer != question.answer:
                misses.append(Miss(question.task, question.prompt, question.answer, answer, number))
    progress(pictures, pictures)
    return [Score(task, right[task], asked[task]) for task in sorted(asked)], misses
