"""Intervals: they cover what they should, follow whole pictures, and compare two bundles on the same questions."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicvl.bench.accuracy import bootstrap
from magicvl.bench.accuracy.bootstrap import difference, mean_interval, wilson


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 6))
def test_an_interval_is_around_the_mean_and_within_shares(values: list[float], pictures: int) -> None:
    clusters = [str(number % pictures) for number in range(len(values))]
    low, high = mean_interval(values, clusters)
    assert 0 <= low <= np.mean(values) + 1e-9 and np.mean(values) - 1e-9 <= high <= 1
    assert (low, high) == mean_interval(values, clusters)


def test_it_covers_the_truth_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        # 60 pictures of five questions, which are right or wrong together more often than not.
        ease = random.beta(2, 2, 60)
        right = (random.random((60, 5)) < ease[:, None]).astype(float)
        low, high = mean_interval(right.ravel().tolist(), np.repeat(names(60), 5).tolist())
        hits += low <= 0.5 <= high
    assert 88 <= hits <= 99


def test_questions_of_one_picture_count_as_one() -> None:
    values = [1.0] * 50 + [0.0] * 50
    alone = mean_interval(values, names(100))
    together = mean_interval(values, [str(number // 10) for number in range(100)])
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])
    # The normal approximation: 1.96 * 0.5 / sqrt(100).
    assert alone == pytest.approx((0.402, 0.598), abs=0.01)


def test_where_all_are_right_there_is_still_an_interval() -> None:
    assert mean_interval([1.0] * 40, names(40)) == pytest.approx(wilson(1.0, 40))
    low, high = mean_interval([1.0] * 40, ["a"] * 20 + ["b"] * 20)
    assert (low, high) == pytest.approx(wilson(1.0, 2)) and low < 0.5
    # 0 of 10: Wilson's upper bound is z^2 / (10 + z^2).
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)


def test_a_difference_is_paired() -> None:
    random = np.random.default_rng(2)
    first = (random.random(200) < 0.5).astype(float)
    better = np.maximum(first, random.random(200) < 0.1)
    mean, (low, high) = difference(better.tolist(), first.tolist(), names(200))
    assert mean == pytest.approx((better - first).mean()) and 0 < low < mean < high
    # The two intervals by themselves overlap widely.
    assert mean_interval(better.tolist(), names(200))[0] < mean_interval(first.tolist(), names(200))[1]
    assert difference(first.tolist(), first.tolist(), names(200)) == (0.0, (0.0, 0.0))


def test_draws_are_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random(50).tolist()
    whole = mean_interval(values, names(50))
    monkeypatch.setattr(bootstrap, "MOST_AT_ONCE", 500)
    assert mean_interval(values, names(50)) == pytest.approx(whole, abs=0.005)
