"""The raw terms, by hand."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicvl.train.complexity.pictures import Seen, see
from magicvl.train.complexity.terms import (
    NAMES,
    Terms,
    gap_share,
    grey_entropy,
    mean_terms,
    perplexity,
    type_token_ratio,
)
from magicvl.train.samples.sample import Box, Sample, Turn

TURN = (Turn("What?", "This."),)


def test_by_hand() -> None:
    assert type_token_ratio([5, 5, 7, 5]) == 0.5
    assert type_token_ratio([]) is None
    assert perplexity(3 * math.log(7), 3, 100) == pytest.approx(7)
    assert perplexity(3 * math.log(700), 3, 100) == perplexity(1e9, 2, 100) == 100
    assert perplexity(0.0, 0, 100) is None


@pytest.mark.parametrize(
    ("grey", "bits"),
    [([7] * 16, 0.0), ([0, 255] * 8, 1.0), ([0] * 8 + [1] * 4 + [2, 3] * 2, 1.75), (list(range(256)), 8.0)],
)
def test_entropy_by_hand(grey: list[int], bits: float) -> None:
    picture = Image.fromarray(np.array([grey], dtype=np.uint8)).convert("RGB")
    assert grey_entropy(picture) == pytest.approx(bits, abs=1e-12)


def test_entropy_is_of_the_luma() -> None:
    # Two colours of one grey: 0.299 * 100 and 0.587 * 51 both round to 30.
    pair = Image.new("RGB", (2, 1), (100, 0, 0))
    pair.putpixel((1, 0), (0, 51, 0))
    assert grey_entropy(pair) == 0.0


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        # beta 1.5 times the larger model's loss: 1.2, 0.6, 0.15, 1.5; above delta 0.2.
        ((2.0, 0.8), 1.0),
        ((1.1, 0.8), 0.0),
        ((0.5, 0.1), 0.0),
        ((2.0, 0.8, 0.4), 1.0),
        ((2.0, 0.8, 0.7), 0.5),
        ((1.1, 1.0, 0.1), 0.0),
        ((1.2, 0.8), 0.0),
        ((1.0,), None),
        ((), None),
    ],
)
def test_the_share_of_gaps_by_hand(losses: tuple[float, ...], share: float | None) -> None:
    assert gap_share(losses, 1.5, 0.2) == share


def test_the_mean_over_samples_is_the_papers_mean_of_two_shares() -> None:
    losses = [(2.0, 0.8, 0.4), (2.0, 0.8, 0.7), (1.0, 0.8, 0.3), (1.0, 0.9, 0.9), (3.0, 1.0, 0.1)]
    first = sum(small > 1.5 * mid > 0.2 for small, mid, _ in losses) / 5
    second = sum(mid > 1.5 * large > 0.2 for _, mid, large in losses) / 5
    terms = [Terms(1.0, 1.0, 1.0, None, None, None, gap_share(each, 1.5, 0.2)) for each in losses]
    assert mean_terms(terms).task == pytest.approx((first + second) / 2)


def test_means_are_over_the_samples_that_have_the_term() -> None:
    samples = [Terms(1.0, 0.5, None, 2.0, None, 0.1), Terms(4.0, None, None, 4.0, None, 0.3)]
    assert mean_terms(samples) == Terms(2.5, 0.5, None, 3.0, None, 0.2)


NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6))


@given(st.lists(st.lists(NUMBERS, min_size=7, max_size=7).map(lambda values: Terms(*values))), st.randoms())
def test_the_order_of_samples_does_not_matter(samples: list[Terms], rng: random.Random) -> None:
    shuffled = samples.copy()
    rng.shuffle(shuffled)
    means = mean_terms(samples)
    assert mean_terms(shuffled) == means
    for name in NAMES:
        there = [value for sample in samples if (value := getattr(sample, name)) is not None]
        mean = getattr(means, name)
        assert (mean is None) == (not there)
        if there:
            assert min(there) - 1e-6 <= mean <= max(there) + 1e-6


def sample(pictures: tuple[Image.Image, ...], boxes: tuple[Box, ...] | None) -> Sample:
    return Sample("1", "vqa", "made", pictures, TURN, boxes)


def test_what_stands_on_how_many_px() -> None:
    flat, stripes = Image.new("RGB", (10, 10)), Image.new("L", (20, 5), 0)
    stripes.paste(255, (0, 0, 10, 5))
    boxes = (
        Box("a cat", 0, 0, 5, 5),
        Box("one two three", 0, 0, 9, 2, "text"),
        Box("four", 0, 2, 9, 4, "text", picture=1),
    )
    seen = see(sample((flat, stripes), boxes), lambda text: len(text.split()))
    assert seen == Seen(entropy=0.5, text_density=4 / 200, object_density=1 / 200)
    assert see(sample((flat,), ()), len) == Seen(0.0, 0.0, 0.0)


def test_without_boxes_only_a_reader_knows_the_text() -> None:
    flat = Image.new("RGB", (10, 10))
    assert see(sample((flat,), None), len) == Seen(0.0, None, None)
    assert see(sample((flat, flat), None), len, lambda _: "abc") == Seen(0.0, 6 / 200, None)
    assert see(sample((flat,), ()), len, lambda _: "abc") == Seen(0.0, 0.0, 0.0)
    assert see(sample((), None), len) == Seen(None, None, None)
