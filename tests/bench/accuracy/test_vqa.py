"""VQA accuracy as it is published: 0, 0.3, 0.6, 0.9, 1 for none to four of ten annotators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.bench.accuracy.vqa import vqa_accuracy, vqa_text


@pytest.mark.parametrize(("agreeing", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_ten_annotators(agreeing: int, expected: float) -> None:
    truths = ["stop"] * agreeing + [f"other {number}" for number in range(10 - agreeing)]
    assert vqa_accuracy("Stop.", truths) == pytest.approx(expected)


def test_a_single_truth_has_to_be_equal() -> None:
    assert (vqa_accuracy("The stop", ["stop"]), vqa_accuracy("stops", ["stop"])) == (1, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Two  dogs", "2 dogs"),
        ("none", "0"),
        ("1,000", "1000"),
        ("3.5 m.", "3.5 m"),
        ("red/blue", "red blue"),
        ("red / blue", "red blue"),
        ("red, blue", "red blue"),
        ("hello\nworld\t!", "hello world"),
        ("Don't", "dont"),
        ("dont", "dont"),
        ("it's", "it's"),
        ("its", "its"),
        ("we're", "we're"),
        ("couldn't've", "couldntve"),
    ],
)
def test_answers_are_made_alike(text: str, expected: str) -> None:
    assert vqa_text(text) == expected


@given(st.text(max_size=20), st.lists(st.text(max_size=5), min_size=1, max_size=10))
def test_it_is_a_share(answer: str, truths: list[str]) -> None:
    assert 0 <= vqa_accuracy(answer, truths) <= 1
