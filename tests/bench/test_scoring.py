"""Scores against values computed by hand and published ones, and what has to hold for any text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.bench.scoring import (
    SCORERS,
    anls,
    boxes_found,
    characters,
    exact,
    find_boxes,
    iou,
    relaxed,
    relaxed_plain,
    score,
    word_f1,
)
from magicvl.errors import UsageError
from magicvl.train.samples.sample import METRICS, Metric, Turn

TEXTS = st.text(max_size=30)


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("blue star", "blue star", 1),
        ("Blue star.", "blue star", 1),
        ("  blue\n star ", "blue star", 1),
        ("cafe\u0301", "caf\u00e9", 1),
        ("a blue star", "blue star", 0),
        ("blue Star", "blue star", 0),
        ("TOTAL", "Total", 0),
        ("3.5", "3.5.", 1),
        ("35", "3.5", 0),
        (".", ".", 1),
        ("", ".", 0),
    ],
)
def test_exact_ignores_what_dresses_a_sentence_and_nothing_else(answer: str, truth: str, right: int) -> None:
    assert exact(answer, truth) == right


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("Invoice 1905", "invoice  1905", 1.0),
        ("abce", "abcd", 0.75),
        # 2 of 4 is exactly the threshold, which the challenge's evaluation takes.
        ("abxy", "abcd", 0.5),
        ("axyz", "abcd", 0.0),
        ("abcdefgh", "abcd", 0.5),
        ("abcdefghi", "abcd", 0.0),
        ("", "abcd", 0.0),
    ],
)
def test_anls(answer: str, truth: str, expected: float) -> None:
    assert anls(answer, truth) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "truth", "plain", "thousands"),
    [
        ("105", "100", 1, 1),
        ("95", "100", 1, 1),
        ("105.1", "100", 0, 0),
        ("-100", "-104", 1, 1),
        ("100", "-100", 0, 0),
        ("50%", "0.5", 1, 1),
        ("50%", "52 %", 1, 1),
        ("50%", "50", 0, 0),
        ("0", "0", 1, 1),
        ("0.0", "0", 0, 0),
        ("Brazil", "brazil", 1, 1),
        ("Brazi", "brazil", 0, 0),
        ("1,234", "1234", 0, 1),
        ("1,234,567", "1250000", 0, 1),
        # Years and lists are no numbers with thousands.
        ("12,34", "1234", 0, 0),
        ("nan", "5", 0, 0),
        ("five", "5", 0, 0),
        ("1_0", "10", 0, 0),
    ],
)
def test_relaxed_accuracy(answer: str, truth: str, plain: int, thousands: int) -> None:
    assert (relaxed_plain(answer, truth), relaxed(answer, truth)) == (plain, thousands)


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("kitten", "sitting", 1 - 3 / 7),
        ("sitting", "kitten", 1 - 3 / 6),
        ("a  b\nc", "a b c", 1.0),
        ("A", "a", 0.0),
        ("far too long for it", "it", 0.0),
        ("", "", 1.0),
        ("x", "", 0.0),
    ],
)
def test_character_error_rate(answer: str, truth: str, expected: float) -> None:
    assert characters(answer, truth) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("the cat sat on the mat", "cat on mat", 2 * 3 / (4 + 3)),
        ("A cat!", "the cat", 1.0),
        ("cat cat", "cat", 2 * 1 / (2 + 1)),
        ("dog", "cat", 0.0),
        ("the", "a", 1.0),
        ("", "cat", 0.0),
    ],
)
def test_word_f1(answer: str, truth: str, expected: float) -> None:
    assert word_f1(answer, truth) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "boxes"),
    [
        ("[10, 20, 300, 400]", [(10, 20, 300, 400)]),
        ("It is at (10,20,300,400).", [(10, 20, 300, 400)]),
        ("the 3 apples: [10 20 300 400]", [(10, 20, 300, 400)]),
        ("{ 10.5 , 20 , 300 , 400 }", [(10.5, 20, 300, 400)]),
        ("10, 20, 300, 400", [(10, 20, 300, 400)]),
        ("[10, 20, 300, 400] and [0, 0, 1, 1]", [(10, 20, 300, 400), (0, 0, 1, 1)]),
        ("[300, 20, 10, 400]", []),
        ("[10, 20, 300, 1001]", []),
        ("[-1, 20, 300, 400]", []),
        ("[10, 20, 300]", []),
        ("[10, 20, 300, 400, 500]", []),
        ("1 2 3 4 5", []),
        ("no box", []),
    ],
)
def test_boxes_are_read_however_they_are_written(answer: str, boxes: list[tuple[float, ...]]) -> None:
    assert find_boxes(answer) == boxes


def test_intersection_over_union() -> None:
    square = (0.0, 0.0, 100.0, 100.0)
    assert iou(square, square) == 1
    assert iou(square, (0, 0, 100, 50)) == 0.5
    assert iou(square, (50, 50, 150, 150)) == pytest.approx(2500 / 17500)
    assert iou(square, (100, 0, 200, 100)) == 0


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("[0, 0, 100, 50]", "[0, 0, 100, 100]", 1.0),
        ("[0, 0, 100, 49]", "[0, 0, 100, 100]", 0.0),
        ("no", "[0, 0, 100, 100]", 0.0),
        # Naming more boxes costs, and one truth is not found twice.
        ("[0, 0, 100, 100] [0, 0, 100, 99]", "[0, 0, 100, 100]", 2 / 3),
        ("[0, 0, 10, 10]", "[0, 0, 10, 10] [50, 50, 60, 60]", 2 / 3),
        ("[50, 50, 60, 60] [0, 0, 10, 10]", "[0, 0, 10, 10] [50, 50, 60, 60]", 1.0),
    ],
)
def test_found_boxes(answer: str, truth: str, expected: float) -> None:
    assert boxes_found(answer, truth) == pytest.approx(expected)


def test_a_turn_is_scored_by_its_metric_and_its_best_right_answer() -> None:
    assert score(Turn("?", "two", others=("2",)), "2") == 1
    assert score(Turn("?", "two", others=("2",)), "3") == 0
    assert score(Turn("?", "100", "relaxed"), "101") == 1
    assert score(Turn("?", "abcd", "cer", others=("abxy",)), "abxx") == 0.75
    assert set(SCORERS) == set(METRICS)
    wrong: Metric = "bleu"  # type: ignore[assignment]
    with pytest.raises(UsageError, match="metric 'bleu'; there are exact, anls"):
        score(Turn("?", "a", wrong), "a")


@given(TEXTS, TEXTS)
def test_every_score_is_a_share(answer: str, truth: str) -> None:
    for scorer in (*SCORERS.values(), relaxed_plain):
        assert 0 <= scorer(answer, truth) <= 1


@given(TEXTS, TEXTS)
def test_what_has_no_side_is_symmetrical(answer: str, truth: str) -> None:
    for scorer in (exact, anls, word_f1, boxes_found):
        assert math.isclose(scorer(answer, truth), scorer(truth, answer))


@given(TEXTS)
def test_the_truth_is_right(text: str) -> None:
    for scorer in (exact, anls, relaxed, relaxed_plain, characters, word_f1):
        assert scorer(text, text) == 1


CORNER = st.integers(0, 999)


@given(CORNER, CORNER, st.integers(1, 1000), st.integers(1, 1000))
def test_a_box_is_found_where_it_is(left: int, top: int, width: int, height: int) -> None:
    box = [left, top, min(1000, left + width), min(1000, top + height)]
    assert find_boxes(f"at {box}") == [tuple(box)]
    assert boxes_found(str(box), str(box)) == 1
