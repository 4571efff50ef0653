"""Whatever a dataset of print draws: it can be read, answered, and is the same each time."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

import magicvl.train.generator
from magicvl.train.generator.dataset import Dataset
from magicvl.train.generator.locales import LOCALES
from magicvl.train.generator.registry import DATASETS
from magicvl.train.generator.words import side
from magicvl.train.samples.sample import METRICS, Box, Sample

SAMPLES = 3
_BOX = re.compile(r"\[\d+, \d+, \d+, \d+\]")


@cache
def drawn(name: str, split: str = "train") -> tuple[Sample, ...]:
    return tuple(DATASETS[name].sample(11, index, split) for index in range(SAMPLES))


def picture_of(sample: Sample) -> Image.Image:
    (picture,) = sample.pictures
    assert isinstance(picture, Image.Image)
    return picture


def test_a_sample_is_the_same_each_time(printed: Dataset) -> None:
    first, again = drawn(printed.name)[1], printed.sample(11, 1)
    assert first.turns == again.turns and first.boxes == again.boxes
    if printed.category != "text":
        assert picture_of(first).tobytes() == picture_of(again).tobytes()
    assert first.turns != drawn(printed.name)[0].turns or first.boxes != drawn(printed.name)[0].boxes


def test_pictures_are_of_a_sensible_size(printed: Dataset) -> None:
    for sample in drawn(printed.name):
        assert bool(sample.pictures) == (printed.category != "text")
        for picture in sample.pictures:
            assert isinstance(picture, Image.Image) and picture.mode == "RGB"
            assert picture.width >= 64 and picture.height >= 32
            assert picture.width * picture.height < 5_000_000


def test_boxes_lie_in_the_picture_and_hold_print_that_can_be_read(printed: Dataset) -> None:
    for sample in drawn(printed.name):
        for box in sample.boxes or ():
            picture = picture_of(sample)
            assert 0 <= box.left <= box.right <= picture.width and 0 <= box.top <= box.bottom <= picture.height
            if box.kind == "text":
                assert box.label.strip() and spread(picture, box) > 25, (sample.id, box)
                # Capitals of print of 13 px; a photograph may take a little.
                assert box.bottom - box.top >= 6.5 or not re.search("[A-Z0-9]", box.label), (sample.id, box)


def spread(picture: Image.Image, box: Box) -> int:
    """From the darkest to the lightest of the colours in a box: what the eye has to read by."""
    sides = (int(box.left), int(box.top), int(box.right) + 1, int(box.bottom) + 1)
    return max(high - low for low, high in picture.crop(sides).getextrema())


def test_questions_can_be_answered_and_scored(printed: Dataset) -> None:
    for sample in drawn(printed.name):
        assert 1 <= len(sample.turns) <= 4
        labels = [box.label for box in sample.boxes or () if box.kind == "text"]
        for turn in sample.turns:
            assert turn.metric in METRICS and turn.task
            assert turn.prompt == turn.prompt.strip() and "{" not in turn.prompt
            assert turn.answer == turn.answer.strip() != ""
            for named in re.findall(r'"([^"]+)"', turn.prompt):
                assert labels.count(named) <= 1, (sample.id, turn.prompt)
            if turn.metric == "iou":
                assert _BOX.fullmatch(turn.answer)
                left, top, right, bottom = map(int, re.findall(r"\d+", turn.answer))
                assert 0 <= left < right <= 1000 and 0 <= top < bottom <= 1000
        assert len({turn.prompt for turn in sample.turns}) == len(sample.turns)


def words_of(sample: Sample) -> Iterator[str]:
    texts = [box.label for box in sample.boxes or ()]
    texts += [text for turn in sample.turns for text in (turn.prompt, turn.answer)]
    for text in texts:
        yield from re.findall(r"[^\W\d_]{3,}", text.lower())


@cache
def fixed_words() -> frozenset[str]:
    """The words that stand in the generator's own files, in questions and labels, and names of months."""
    folder = Path(magicvl.train.generator.__file__).parent
    texts = (path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    months = (month for locale in LOCALES for month in locale.months)
    return frozenset(word for text in (*texts, *months) for word in re.findall(r"[^\W\d_]{3,}", text.lower()))


def test_test_words_are_never_trained_on(printed: Dataset) -> None:
    trained = {word for sample in drawn(printed.name) for word in words_of(sample)} - fixed_words()
    tested = {word for sample in drawn(printed.name, "test") for word in words_of(sample)} - fixed_words()
    assert not trained & tested
    if printed.name in ("word", "line", "screen/list", "sign"):
        assert {side(word) for word in tested} == {"test"}


def test_the_style_split_draws_too(printed: Dataset) -> None:
    styled = printed.sample(1, 0, "style")
    assert styled.id == f"{printed.name}/style/1/0" and styled.turns


@pytest.mark.parametrize("name", ["long/list", "long/chat", "long/settings"])
def test_long_screenshots_are_several_screens(name: str) -> None:
    for sample in drawn(name):
        picture = picture_of(sample)
        assert 2.7 <= picture.height / (picture.width * 18 / 9) <= 9
