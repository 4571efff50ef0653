"""The suite of magicvl-nano: held-out pictures of shapes, exact answers, by task."""

from collections.abc import Iterator
from functools import partial

from magicvl.bench.accuracy.lines import by_groups
from magicvl.bench.accuracy.question import Item, Question, Suite
from magicvl.train.nano.config import Stage
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.evaluate import held_out_samples

SIZES = Stage(start=0, max_side=26, max_tokens=300)
"""From one visual token to several tiles."""
MAX_TOKENS = 48


def nano_suite(pictures: int) -> Suite:
    """Every question of so many held-out pictures; an answer counts if it equals the truth in every character.

    Seeds, fonts and backgrounds are those that training never sees. Intervals are Wilson's over questions, as its card
    gives them.
    """
    return Suite("nano", pictures, lambda: _items(pictures), by_groups("task", everything=False), interval="wilson")


def _items(pictures: int) -> Iterator[Item]:
    for number, sample in enumerate(held_out_samples("test", pictures, SIZES)):
        questions = tuple(
            Question(
                f"{number}/{place}",
                question.prompt,
                question.answer,
                partial(_same, question.answer),
                MAX_TOKENS,
                {"task": question.task},
            )
            for place, question in enumerate(sample.questions)
        )
        yield Item(str(number), (draw_scene(sample.scene),), questions)


def _same(truth: str, answer: str) -> float:
    return float(answer == truth)
