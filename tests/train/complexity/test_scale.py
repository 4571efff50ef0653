"""Normalising keeps the order, stays within 0 and 1, and does not ask who came first."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.errors import UsageError
from magicvl.train.complexity.scale import NORMALISATIONS, Normalisation, Scale, make_scale

VALUES = st.lists(st.floats(-1e40, 1e40), min_size=1, max_size=30)
HOW = st.sampled_from(NORMALISATIONS)


@pytest.mark.parametrize(
    ("how", "values", "shares"),
    [
        ("rank", [3.0, 1.0, 1000.0], [0.5, 0.0, 1.0]),
        ("minmax", [3.0, 1.0, 5.0], [0.5, 0.0, 1.0]),
        # Places 0, 1.5, 1.5, 3 of four.
        ("rank", [1.0, 2.0, 2.0, 9.0], [0.0, 0.5, 0.5, 1.0]),
        # Places 0.5, 0.5, 2, 3: stretched from 0.5..3 to 0..1.
        ("rank", [1.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.6, 1.0]),
        ("rank", [4.0], [0.5]),
        ("minmax", [4.0, 4.0], [0.5, 0.5]),
    ],
)
def test_by_hand(how: Normalisation, values: list[float], shares: list[float]) -> None:
    scale = make_scale(values, how)
    assert [scale(value) for value in values] == pytest.approx(shares)


def test_a_sample_in_between_is_interpolated_and_one_outside_is_at_the_end() -> None:
    scale = make_scale([1.0, 3.0, 103.0], "rank")
    assert [scale(value) for value in (-7.0, 2.0, 53.0, 1e9)] == [0.0, 0.25, 0.75, 1.0]


def test_one_far_dataset_hides_the_others_with_minmax_and_not_with_ranks() -> None:
    values = [1.0, 2.0, 3.0, 1e6]
    near = [make_scale(values, how)(3.0) for how in NORMALISATIONS]
    assert near == [pytest.approx(2 / 3), pytest.approx(0, abs=1e-5)]


@given(VALUES, HOW, st.floats(-1e40, 1e40), st.floats(-1e40, 1e40))
def test_within_0_and_1_and_never_falling(values: list[float], how: Normalisation, one: float, other: float) -> None:
    scale = make_scale(values, how)
    low, high = scale(min(one, other)), scale(max(one, other))
    assert 0 <= low <= high <= 1


@given(VALUES, HOW)
def test_ends_are_0_and_1_and_a_rank_parts_what_differs(values: list[float], how: Normalisation) -> None:
    scale = make_scale(values, how)
    shares = [scale(value) for value in sorted(set(values))]
    if len(shares) == 1:
        assert shares == [0.5]
        return
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    if how == "rank":
        assert shares == sorted(set(shares))


@given(VALUES, HOW, st.randoms())
def test_the_order_of_datasets_does_not_matter(values: list[float], how: Normalisation, rng: random.Random) -> None:
    shuffled = values.copy()
    rng.shuffle(shuffled)
    assert make_scale(values, how) == make_scale(shuffled, how)


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="normalisation 'z': there are rank, minmax"):
        make_scale([1.0], "z")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must rise"):
        Scale((1.0, 1.0), (0.0, 1.0))
    with pytest.raises(ValueError, match="2 values for 1 shares"):
        Scale((1.0, 2.0), (0.0,))
