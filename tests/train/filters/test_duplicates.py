"""What is the same as what: pictures by their look, texts by their words, samples by both."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from magicvl.train.filters.duplicates import Duplicates, marks_of
from magicvl.train.filters.picture_hash import BITS, PictureIndex, distance, picture_hash
from magicvl.train.filters.text_hash import alike, normalised, signature
from magicvl.train.filters.thresholds import Thresholds
from magicvl.train.samples.sample import Sample, Turn

LINE = Thresholds()
Make = Callable[..., Image.Image]
STORY = (
    "A dog and a cat lived in one house by the sea. They shared one bed and one bowl, and they never quarrelled about "
    "any of it, as the sea was loud enough for both of them."
)


def page(seed: int) -> Image.Image:
    """A white page with bars where words would be."""
    rng = random.Random(seed)
    made = Image.new("RGB", (400, 560), "white")
    draw = ImageDraw.Draw(made)
    for top in range(20, 540, 20):
        left = 20
        while left < rng.randint(150, 380):
            width = rng.randint(10, 50)
            draw.rectangle((left, top, min(380, left + width), top + 9), fill="black")
            left += width + 8
    return made


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: jpeg(picture, 50),
        lambda picture: picture.resize((picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS),
        lambda picture: picture.resize((picture.width * 3 // 2, picture.height), Image.Resampling.BILINEAR),
        lambda picture: ImageEnhance.Brightness(picture).enhance(0.97),
    ],
)
def test_a_changed_copy_looks_the_same_and_another_picture_does_not(make_picture: Make, change: Make) -> None:
    for seed in range(8):
        for picture in (make_picture(300, 200, seed), page(seed)):
            assert distance(picture_hash(picture), picture_hash(change(picture))) <= LINE.same_picture
    pages = [picture_hash(page(seed)) for seed in range(20)]
    blurs = [picture_hash(make_picture(300, 200, seed)) for seed in range(20)]
    for group in (pages, blurs):
        assert min(distance(one, other) for i, one in enumerate(group) for other in group[:i]) > 2 * LINE.same_picture


def test_a_blank_has_no_bits_whatever_its_noise() -> None:
    blank = np.random.default_rng(0).normal(250, 3, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    assert not picture_hash(Image.fromarray(blank)).any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 40))
def test_the_search_finds_what_comparing_all_finds(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (30, BITS), dtype=np.uint8)
    for row in range(15):  # near copies of the others
        bits[row] = bits[row + 15] ^ (rng.random(BITS) < rng.choice([0.01, 0.03, 0.06])).astype(np.uint8)
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    index = PictureIndex()
    for owner, each in enumerate(hashes):
        index.add(each, owner)
    for each in hashes[:5]:
        assert index.near(each, most) == [owner for owner in range(30) if distance(each, hashes[owner]) <= most]


def test_long_texts_are_the_same_with_a_changed_word_and_short_ones_are_not() -> None:
    changed = STORY.replace("as the sea", "because the sea").upper()
    assert alike(signature(STORY, LINE), signature(changed, LINE)) >= LINE.same_text
    assert alike(signature("There are 2 cups.", LINE), signature("there are 2 cups", LINE)) == 1
    assert alike(signature("There are 2 cups.", LINE), signature("There are 3 cups.", LINE)) < 0.1
    assert normalised("?!") == "?!"


def said(prompt: str, answer: str, picture: Image.Image | None = None, name: str = "1") -> Sample:
    pictures = () if picture is None else (picture,)
    return Sample(name, "vqa" if pictures else "text", "s", pictures, (Turn(prompt, answer),))


def kept(samples: list[Sample], line: Thresholds = LINE) -> list[str | None]:
    """For each sample the rule by which it goes."""
    index = Duplicates(line)
    rules: list[str | None] = []
    for sample in samples:
        marks = marks_of(sample, line)
        found = index.find(marks)
        rules.append(None if found is None else found[0])
        if found is None:
            index.add(sample.id, marks)
    return rules


def test_samples_repeat_where_pictures_and_words_do(make_picture: Make) -> None:
    one, other = make_picture(300, 200, 1), make_picture(300, 200, 2)
    samples = [
        said("What colour?", "Red.", one),
        said("What colour?", "Red.", other),
        said("What colour?", "Red.", jpeg(one, 60)),
        said("What colour?", "Blue.", one),
        said("what colour", "red", one.resize((200, 130))),
        said("What colour?", "Red."),
        said("What colour?", "Red"),
    ]
    assert kept(samples) == [None, None, "duplicate", None, "duplicate", None, "duplicate"]


def test_long_texts_repeat_without_pictures() -> None:
    samples = [
        said("Tell me a story.", STORY),
        said("Tell me a story!", STORY.replace("bowl", "plate")),
        said("Say something about a dog.", STORY),
        said(
            "Tell me a story.",
            "Once there was a king, and that is all that is known of him to this very day, or ever will be.",
        ),
    ]
    assert kept(samples) == [None, "duplicate", None, None]


def test_a_picture_may_be_asked_about_often_but_not_without_end(make_picture: Make) -> None:
    picture = make_picture(100, 100, 3)
    samples = [said(f"Question {number}?", "Yes.", picture) for number in range(6)]
    assert kept(samples, Thresholds(most_per_picture=4)) == [None] * 4 + ["same picture"] * 2
    assert kept(samples) == [None] * 6


def test_a_long_answer_for_many_pictures_goes(make_picture: Make) -> None:
    samples = [said("Describe it.", STORY, make_picture(100, 100, seed)) for seed in range(5)]
    assert kept(samples, Thresholds(most_same_answer=3)) == [None] * 3 + ["same answer"] * 2
    short = [said("Describe it.", "A dog.", make_picture(100, 100, seed)) for seed in range(5)]
    assert kept(short, Thresholds(most_same_answer=3)) == [None] * 5


def test_several_pictures_are_compared_in_order(make_picture: Make) -> None:
    one, two, three = (make_picture(100, 100, seed) for seed in range(3))
    turns = (Turn("Which?", "This."),)
    samples = [Sample("1", "vqa", "s", pictures, turns) for pictures in ((one, two), (one, three), (one,), (one, two))]
    assert kept(samples) == [None, None, None, "duplicate"]
