"""The suite of magicvl-nano: held-out pictures of shapes, exact answers, by task."""

from collections.abc import Iterator, Sequence
from functools import partial

from magicvl.bench.accuracy.lines import by_groups, grouped
from magicvl.bench.accuracy.question import Item, Line, Question, Scored, Suite
from magicvl.train.nano.config import Stage
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.evaluate import held_out_samples

SIZES = Stage(start=0, max_side=26, max_tokens=300)
"""From one visual token to several tiles."""
MAX_TOKENS = 48


def nano_suite(pictures: int) -> Suite:
    """Every question of so many held-out pictures; an answer counts if it equals the truth in every character.

    Of a count the number alone, which is what was asked for, has a line of its own. Seeds, fonts and backgrounds are
    those that training never sees. Intervals are Wilson's over questions, as its card gives them.
    """
    return Suite("nano", pictures, lambda: _items(pictures), _lines, interval="wilson")


def _lines(answers: Sequence[Scored]) -> list[Line]:
    lines = by_groups("task", everything=False)(answers)
    if counts := grouped(answers, "task").get("count"):
        right = tuple(float(_number(each.answer) == _number(each.question.truth)) for each in counts)
        lines.append(Line("task", "count, its number", right, tuple(each.cluster for each in counts)))
    return sorted(lines, key=lambda line: line.name)


def _number(count: str) -> str:
    """Of `star top left, star right: 2` the `2`."""
    return count.rpartition(":")[2].strip()


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
