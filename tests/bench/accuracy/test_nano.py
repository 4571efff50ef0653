"""The suite of magicvl-nano: answers in every character, and of a count its number too."""

from collections.abc import Callable

import pytest

from magicvl.bench.accuracy.nano import nano_suite
from magicvl.bench.accuracy.question import Scored


@pytest.mark.parametrize(
    ("say", "counts", "numbers"),
    [
        (lambda truth: truth, 1.0, 1.0),
        (lambda truth: "a thing nowhere: " + truth.rpartition(" ")[2], 0.0, 1.0),
        (lambda truth: truth.rpartition(" ")[2], 0.0, 1.0),
        (lambda truth: truth[:-1] + "9", 0.0, 0.0),
        (lambda truth: "", 0.0, 0.0),
    ],
)
def test_a_count_has_a_line_for_its_number_alone(say: Callable[[str], str], counts: float, numbers: float) -> None:
    suite = nano_suite(12)
    answers = [
        Scored(question, item.cluster, said, question.score(said))
        for item in suite.draw()
        for question in item.questions
        for said in [say(question.truth) if question.groups["task"] == "count" else question.truth]
    ]
    lines = {line.name: line for line in suite.lines(answers)}
    assert set(lines["colour"].values) == {1.0}
    assert set(lines["count"].values) == {counts}
    assert set(lines["count, its number"].values) == {numbers}
    assert len(lines["count"].values) == len(lines["count, its number"].clusters) > 3


def test_without_counts_there_is_no_such_line() -> None:
    suite = nano_suite(2)
    asked = [(item, question) for item in suite.draw() for question in item.questions]
    answers = [
        Scored(question, item.cluster, "", 0.0) for item, question in asked if question.groups["task"] != "count"
    ]
    assert answers and "count, its number" not in {line.name for line in suite.lines(answers)}
