"""Every scheme can be read."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.train.generator.themes import (
    BLACK,
    READABLE,
    WHITE,
    contrast,
    ink_on,
    mix,
    pick_theme,
    print_colour,
    readable,
)

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@settings(max_examples=30, deadline=None)
@given(COLOURS, COLOURS)
def test_contrast_is_mutual(first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
    assert 1 <= contrast(first, second) == contrast(second, first) <= 21
    assert contrast(first, first) == 1
    assert mix(first, second, 0) == first and mix(first, second, 1) == second


@settings(max_examples=30, deadline=None)
@given(COLOURS)
def test_black_or_white_is_read_on_anything(ground: tuple[int, int, int]) -> None:
    assert contrast(print_colour(ground), ground) >= 4.3
    assert contrast(readable((128, 0, 0), ground), ground) >= 4.3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_all_print_of_a_theme_is_readable(seed: int) -> None:
    rng = random.Random(seed)
    theme = pick_theme(rng)
    for ink in (theme.ink, theme.muted):
        assert contrast(ink, theme.ground) >= READABLE and contrast(ink, theme.surface) >= 4
    assert contrast(theme.on_accent, theme.accent) >= 4.3
    assert contrast(ink_on(rng, theme.accent), theme.accent) >= 3.5


def test_black_and_white_are_far_apart() -> None:
    assert contrast(BLACK, WHITE) > 15
