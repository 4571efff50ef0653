"""Answers agree with what is drawn: read back from the printed lines and the boxes."""

import random
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.train.generator.asking import in_words, ordinal, some, spoken, thousandths
from magicvl.train.generator.chart import bar, line, pie
from magicvl.train.generator.chart.data import data
from magicvl.train.generator.chart.frame import pick_style
from magicvl.train.generator.chart.questions import readings, reckonings
from magicvl.train.generator.gui.look import blank, pick_look, toggle
from magicvl.train.generator.ocr import receipt as receipts
from magicvl.train.generator.registry import DATASETS
from magicvl.train.samples.sample import Box, Sample, Turn


def samples(name: str, count: int = 12) -> list[Sample]:
    return [DATASETS[name].sample(21, index) for index in range(count)]


def lines_of(sample: Sample) -> list[str]:
    return [box.label for box in sample.boxes or () if box.kind == "text"]


def turns_of(name: str, task: str, count: int = 30) -> list[tuple[Sample, Turn]]:
    found = [(sample, turn) for sample in samples(name, count) for turn in sample.turns if turn.task == task]
    assert found, f"{name} never asked {task}"
    return found


@pytest.mark.parametrize("name", ["word", "number", "line"])
def test_what_is_printed_is_what_is_read(name: str) -> None:
    for sample in samples(name):
        assert [sample.turns[0].answer] == lines_of(sample)


def test_a_paragraph_is_its_lines() -> None:
    for sample, turn in turns_of("paragraph", "paragraph"):
        assert turn.answer == " ".join(lines_of(sample))
    for sample, turn in turns_of("paragraph", "line of many"):
        place = re.search(r"line (\d)|the (\w+) line", turn.prompt)
        assert place is not None
        number = int(place[1]) if place[1] else next(n for n in range(1, 11) if ordinal(n) == place[2])
        assert turn.answer == lines_of(sample)[number - 1]


def cents(text: str) -> int:
    return int(re.sub(r"\D", "", text))


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_a_receipt_adds_up(seed: int) -> None:
    rng = random.Random(seed)
    what = receipts.receipt(rng, "train", 2, 8)
    printed = [box.label for box in receipts.print_receipt(rng, "train", what).boxes]
    prices = [cents(printed[place + 1]) for place in range(4, 4 + 2 * len(what.items), 2)]
    total = next(place for place, text in enumerate(printed) if text in ("TOTAL", "Total", "Sum"))
    assert sum(prices) == cents(printed[total + 1])
    if "Change" in printed:
        cash, change = (cents(printed[printed.index(text) + 1]) for text in ("Cash", "Change"))
        assert cash - change == sum(prices) and change > 0


def test_prices_stand_beside_their_items() -> None:
    for sample, turn in turns_of("receipt", "price"):
        lines = lines_of(sample)
        item = next(line for line in lines if line in turn.prompt and line[0].isupper() and len(line) > 2)
        assert cents(lines[lines.index(item) + 1]) == cents(turn.answer)


def test_cells_stand_in_their_row_and_column() -> None:
    for sample, turn in turns_of("table/large", "cell"):
        boxes = list(sample.boxes or ())
        named = [box for box in boxes if re.search(rf"(?<!\w){re.escape(box.label)}(?!\w)", turn.prompt)]
        top = min(box.bottom for box in boxes)
        column, row = sorted(named, key=lambda box: box.top > top)
        values = [box for box in boxes if re.sub(r"\D", "", box.label) == turn.answer]
        assert any(beside(value, row) and below(value, column, boxes) for value in values), (sample.id, turn.prompt)


def beside(value: Box, row: Box) -> bool:
    """Whether a cell is on the line of its row, which a photograph may tilt."""
    tilt = 0.12 * abs(value.left - row.right)
    return abs((value.top + value.bottom) / 2 - (row.top + row.bottom) / 2) < 8 + tilt


def below(value: Box, column: Box, boxes: list[Box]) -> bool:
    """Whether no other heading is nearer to a cell than its own, by the edge that columns are set at."""
    top = min(box.bottom for box in boxes)
    headings = [box for box in boxes if box.top <= top + 6]
    nearest = min(headings, key=lambda box: min(abs(box.left - value.left), abs(box.right - value.right)))
    return nearest is column


def test_the_status_bar_says_what_is_answered() -> None:
    for sample, turn in turns_of("status", "clock") + turns_of("status", "battery"):
        assert turn.answer in lines_of(sample)


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_has_its_knob_on_the_right_when_it_is_on(on: bool) -> None:
    for seed in range(10):
        look = pick_look(random.Random(seed), "train")
        page = blank(look, 60)
        left, top, right, bottom = toggle(page, look, look.width - 10, 30, on)
        middle, quarter = (top + bottom) / 2, (bottom - top) / 2
        white = [
            page.picture.getpixel((round(x), round(middle))) == (255, 255, 255)
            for x in (left + quarter, right - quarter)
        ]
        assert white == [not on, on] or look.theme.accent == (255, 255, 255)


def test_switches_answer_as_they_look() -> None:
    for sample, turn in turns_of("screen/settings", "on or off"):
        name = next(
            line for line in lines_of(sample) if f'"{line}"' in turn.prompt or turn.prompt.startswith(f"{line}:")
        )
        (picture,) = sample.pictures
        box = next(box for box in sample.boxes or () if box.label == f"switch {name}")
        crop = np.asarray(picture.crop((box.left, box.top, box.right, box.bottom)).convert("L"), float)
        row = crop[len(crop) // 2 - 1 : len(crop) // 2 + 2].mean(0)
        quarter = len(row) // 4
        knob_right = row[-2 * quarter : -quarter // 2].mean() > row[quarter // 2 : 2 * quarter].mean()
        assert knob_right == (turn.answer == "on"), sample.id


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_bars_are_as_high_as_their_values(seed: int) -> None:
    rng = random.Random(seed)
    what = data(rng, "train", rng.randint(2, 6))
    down = rng.random() < 0.5
    page = (bar.lying if down else bar.upright)(rng, what, pick_style(rng, "train", 1), rng.random() < 0.5)
    bars = [box for box in page.boxes if box.label.startswith("bar ")]
    lengths = [box.right - box.left if down else box.bottom - box.top for box in bars]
    for value, length in zip(what.values, lengths, strict=True):
        assert abs(length / max(lengths) - value / max(what.values)) < 0.02
    answers = {turn.task: turn.answer for turn in readings(rng, what, "bar", down)}
    assert bars[int(np.argmax(lengths))].label == f"bar {answers['largest']}"
    assert bars[int(np.argmin(lengths))].label == f"bar {answers['smallest']}"


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_points_are_as_high_as_their_values(seed: int) -> None:
    rng = random.Random(seed)
    what = data(rng, "train", rng.randint(3, 8), rng.randint(1, 3), in_time=True)
    page = line._print(rng, what, pick_style(rng, "train", 3), rng.random() < 0.5)
    points = iter([box for box in page.boxes if box.label.startswith("point ")])
    for series in what.series:
        heights = [-(point.top + point.bottom) / 2 for _, point in zip(series.values, points, strict=False)]
        assert np.argsort(heights).tolist() == np.argsort(series.values).tolist()
    for column in zip(*(series.values for series in what.series), strict=True):
        assert len(set(column)) == len(column)


@given(st.integers(0, 10**6), st.integers(2, 6))
@settings(max_examples=30)
def test_slices_make_a_hundred_and_can_be_told_apart(seed: int, count: int) -> None:
    shares = pie._shares(random.Random(seed), count)
    ordered = sorted(shares)
    assert sum(shares) == 100 and ordered[0] >= 4
    assert all(b - a >= 4 for a, b in pairwise(ordered))


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_sums_of_a_chart_follow_from_its_values(seed: int) -> None:
    rng = random.Random(seed)
    what = data(rng, "train", rng.randint(2, 6))
    values = dict(zip(what.categories, what.values, strict=True))
    for turn in reckonings(rng, what, "bar"):
        named = [values[name] for name in values if re.search(rf"\b{name}\b", turn.prompt)]
        if turn.task == "sum":
            assert int(turn.answer) == sum(named)
        elif turn.task == "difference":
            assert int(turn.answer) == max(named) - min(named) > 0
        elif turn.task == "count above":
            bound = int(re.findall(r"\d+", turn.prompt)[-1])
            assert int(turn.answer) == sum(value > bound for value in values.values())


def evaluated(prompt: str) -> int:
    a, sign, b = re.search(r"(\d+) (\+|-|times|divided by) (\d+)", prompt).groups()  # type: ignore[union-attr]
    one, two = int(a), int(b)
    return {"+": one + two, "-": one - two, "times": one * two, "divided by": one // two}[sign]


def test_arithmetic_is_right() -> None:
    for _, turn in turns_of("text/arithmetic", "arithmetic"):
        assert int(turn.answer) == evaluated(turn.prompt)


def test_spelling_is_right() -> None:
    for _, turn in turns_of("text/spelling", "backwards", 80):
        assert f'"{turn.answer[::-1]}"' in turn.prompt
    for _, turn in turns_of("text/spelling", "count letter", 80):
        letter, word = sorted(re.findall(r'"(\w+)"', turn.prompt), key=len)
        assert int(turn.answer) == word.count(letter)


def test_facts_stand_in_the_passage() -> None:
    for sample in samples("text/facts", 40):
        turn = sample.turns[0]
        if turn.answer not in ("yes", "no"):
            assert turn.answer in turn.prompt
        if turn.task == "yes or no":
            asked = re.search(r"Does (?P<name>\S+) live in (?P<town>[^?]+)\?", turn.prompt)
            asked = asked or re.search(r"Is (?P<town>[^?.]+) where (?P<name>\S+) lives", turn.prompt)
            assert asked is not None
            assert (turn.answer == "yes") == (f"{asked['name']} lives in {asked['town']}." in turn.prompt)


@settings(max_examples=30)
@given(st.tuples(*[st.floats(0, 500)] * 4), st.integers(1, 2000), st.integers(1, 2000))
def test_thousandths_are_whole_and_bounded(sides: tuple[float, ...], width: int, height: int) -> None:
    text = thousandths(Box("x", *sides), (width, height))
    assert all(0 <= int(number) <= 1000 for number in re.findall(r"-?\d+", text))
    assert thousandths(Box("x", 0, 0, width, height), (width, height)) == "[0, 0, 1000, 1000]"


def test_small_words() -> None:
    assert [ordinal(n) for n in (1, 10, 11, 12, 13, 21, 22, 103)] == (
        "first tenth 11th 12th 13th 21st 22nd 103rd".split()
    )
    assert [in_words(n) for n in (0, 3, 12, 13)] == ["zero", "three", "twelve", "13"]
    assert [spoken(items) for items in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    turns = [Turn("q", str(number)) for number in range(5)]
    assert all(1 <= len(some(random.Random(seed), turns, 3)) <= 3 for seed in range(20))
