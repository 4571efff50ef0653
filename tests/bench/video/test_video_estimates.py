"""Measures of films and seeds with their intervals, and what is between two arms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.bench.video.crossed import means, resampled_means
from magicvl.bench.video.estimates import Arm, differences, estimates, make_arm
from magicvl.bench.video.measures import EVENT_LINES, EVENTS, Measure
from magicvl.errors import UsageError

F1 = EVENT_LINES[0]
LENGTH = Measure("length", ("length",), 1.0, "words", share=False)


def arm_of(name: str, *runs: list[tuple[float, float]]) -> Arm:
    """An arm of runs, each a list of precision and recall by film."""
    return make_arm(
        name,
        {
            str(seed): {f"film {place}": dict(zip(EVENTS, both, strict=True)) for place, both in enumerate(run)}
            for seed, run in enumerate(runs)
        },
    )


def test_f1_is_that_of_the_means_over_films() -> None:
    """As DREAM-1K has it: 0.5 and 0.25 give 1/3, where the mean of both films' F1 would be 0.25."""
    (found,) = estimates(arm_of("a", [(1.0, 0.5), (0.0, 0.0)]), [F1])
    assert found.value == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert found.films == 2 and found.interval[0] <= found.value <= found.interval[1]


def test_nothing_measured_is_no_zero() -> None:
    arm = make_arm("a", {"": {"x": {"length": 4.0}, "y": {}, "z": {"length": 6.0}}})
    (found,) = estimates(arm, [F1, LENGTH])
    assert (found.measure.name, found.value) == ("length", 5.0)


def test_films_that_are_all_alike_have_wilsons_interval() -> None:
    (found,) = estimates(arm_of("a", [(0.0, 0.0)] * 10), [F1])
    low, high = found.interval
    assert (found.value, low) == (0.0, 0.0) and high == pytest.approx(0.2775, abs=1e-3)
    # Of what is no share nothing is known beside the films.
    (words,) = estimates(make_arm("a", {"": {"x": {"length": 7.0}}}), [LENGTH])
    assert words.interval == (7.0, 7.0)


def test_the_interval_is_that_of_the_bootstrap() -> None:
    """Against the usual bootstrap of a mean, drawn anew another way."""
    random = np.random.default_rng(3)
    values = random.random(60)
    arm = make_arm("a", {"": {str(place): {"length": value} for place, value in enumerate(values.tolist())}})
    (found,) = estimates(arm, [LENGTH])
    other = values[random.integers(60, size=(20_000, 60))].mean(axis=1)
    assert found.interval == pytest.approx(np.quantile(other, (0.025, 0.975)), abs=0.01)


def test_seeds_that_differ_widen_the_interval() -> None:
    films = [(0.2 + 0.01 * place, 0.2 + 0.01 * place) for place in range(50)]
    alike = arm_of("a", films, films, films)
    apart = arm_of("a", films, [(p + 0.3, r + 0.3) for p, r in films], [(p - 0.15, r - 0.15) for p, r in films])
    narrow, wide = (estimates(arm, [F1])[0] for arm in (alike, apart))
    assert wide.interval[1] - wide.interval[0] > 3 * (narrow.interval[1] - narrow.interval[0])
    assert list(narrow.seeds) == ["0", "1", "2"] and wide.seeds["1"] == pytest.approx(narrow.seeds["1"] + 0.3)


def test_a_difference_is_paired() -> None:
    """What is hard for both cancels: films are far apart, the difference is not."""
    hard = [(0.1, 0.1), (0.9, 0.9)] * 25
    other = [(p + 0.05, r + 0.05) for p, r in hard]
    (found,) = differences(arm_of("b", other), arm_of("a", hard), [F1])
    assert found.value == pytest.approx(0.05) and found.interval == pytest.approx((0.05, 0.05), abs=1e-9)
    assert found.beyond and (found.arm, found.over) == ("b", "a")


def test_an_arm_of_one_run_is_paired_with_every_seed() -> None:
    base = arm_of("base", [(0.2, 0.2), (0.4, 0.4)])
    trained = arm_of("trained", [(0.5, 0.5), (0.5, 0.5)], [(0.3, 0.3), (0.3, 0.3)])
    (found,) = differences(trained, base, [F1])
    assert found.seeds == pytest.approx({"0": 0.2, "1": 0.0}) and not found.beyond
    (back,) = differences(base, trained, [F1])
    assert back.value == pytest.approx(-found.value) and list(back.seeds) == ["0", "1"]


def test_seeds_are_paired_by_name() -> None:
    one = make_arm("one", {seed: {"x": {"length": value}} for seed, value in (("7", 1.0), ("8", 2.0))})
    two = make_arm("two", {seed: {"x": {"length": value}} for seed, value in (("8", 5.0), ("9", 9.0), ("7", 1.0))})
    (found,) = differences(two, one, [LENGTH])
    assert found.seeds == {"7": 0.0, "8": 3.0}
    three = make_arm("three", {seed: {"x": {"length": 0.0}} for seed in "ab"})
    with pytest.raises(UsageError, match="three has the seeds a, b, one 7, 8: none in common"):
        differences(three, one, [LENGTH])


def test_a_difference_is_only_of_films_that_both_have() -> None:
    ours = make_arm("a", {"": {"x": {"length": 1.0}, "y": {"length": 100.0}}})
    theirs = make_arm("b", {"": {"x": {"length": 2.0}, "y": {}}})
    (found,) = differences(ours, theirs, [LENGTH, F1])
    assert found.value == -1.0
    nothing = make_arm("c", {"": {"x": {}, "y": {"length": 1.0}}})
    assert differences(nothing, theirs, [LENGTH]) == []


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.randoms(use_true_random=False))
def test_draws_are_means_of_what_is_there(seeds: int, films: int, random: object) -> None:
    values = np.random.default_rng(seeds * 100 + films).random((seeds, films, 2))
    values[0, 0, 1] = np.nan
    drawn = resampled_means(values)
    known = drawn[~np.isnan(drawn[:, 1]), 1]
    assert drawn.shape == (10_000, 2)
    assert values[..., 0].min() - 1e-9 <= drawn[:, 0].min() <= drawn[:, 0].max() <= values[..., 0].max() + 1e-9
    assert means(values)[0] == pytest.approx(values[..., 0].mean())
    assert drawn[:, 0].mean() == pytest.approx(values[..., 0].mean(), abs=0.03)
    if seeds * films > 1:
        assert np.nanmin(values[..., 1]) - 1e-9 <= known.min() <= known.max() <= np.nanmax(values[..., 1]) + 1e-9
    assert np.array_equal(drawn, resampled_means(values), equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_f1_lies_between_its_two(pairs: list[tuple[float, float]]) -> None:
    both = np.array(pairs)
    found = F1.of(both)
    assert ((both.min(axis=1) - 1e-12 <= found) & (found <= both.max(axis=1) + 1e-12)).all()
    assert (found[both.min(axis=1) == 0] == 0).all()
