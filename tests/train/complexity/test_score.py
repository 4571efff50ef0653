"""The three scores and their sum, the weights behind them, and the cut."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.errors import UsageError
from magicvl.train.complexity.cut import cut
from magicvl.train.complexity.score import Scorer, Scores
from magicvl.train.complexity.settings import WEIGHTS, Settings, Weights, read_settings
from magicvl.train.complexity.terms import Terms
from magicvl.train.samples.sample import CATEGORIES

PLAIN = Terms(2.0, 0.9, 10.0, 2.0, 1e-4, 1e-5, 0.2)
MIDDLE = Terms(4.0, 0.8, 20.0, 6.0, 3e-4, 2e-5, 0.1)
DENSE = Terms(8.0, 0.7, 15.0, 4.0, 9e-4, 9e-5, 0.6)
WORDS = Terms(6.0, 0.6, 40.0, None, None, None, 0.5)


def test_scores_by_hand() -> None:
    # Length 0, 1/2, 1; diversity 1, 1/2, 0; perplexity and entropy 0, 1, 1/2; the densities rise.
    scorer = Scorer([PLAIN, MIDDLE, DENSE], Settings())
    assert scorer("ocr", PLAIN) == Scores(
        pytest.approx(1 / 3), 0.0, 0.2, pytest.approx(0.2 * 1 / 3 + 0.5 * 0 + 0.3 * 0.2)
    )
    assert scorer("caption", MIDDLE) == Scores(
        pytest.approx(2 / 3), pytest.approx(2 / 3), 0.1, pytest.approx(0.4 * 2 / 3 + 0.5 * 2 / 3 + 0.1 * 0.1)
    )
    assert scorer("chart", DENSE).image == pytest.approx(2.5 / 3)


def test_what_is_missing_is_left_out_and_the_rest_keeps_its_proportion() -> None:
    scorer = Scorer([PLAIN, MIDDLE, DENSE, WORDS], Settings())
    text = scorer("text", WORDS)
    # Length is third of four, diversity the lowest, perplexity the highest.
    assert (text.text, text.image, text.task) == (pytest.approx((2 / 3 + 0 + 1) / 3), None, 0.5)
    assert text.total == pytest.approx((0.6 * text.text + 0.4 * 0.5) / 1.0)
    untested = scorer("chart", replace(DENSE, task=None, object_density=None))
    assert untested.image == pytest.approx((0.5 + 1) / 2)
    assert untested.total == pytest.approx((0.2 * untested.text + 0.4 * untested.image) / 0.6)


def test_weights_are_proportions() -> None:
    tenfold = {name: Weights(10 * its.text, 10 * its.image, 10 * its.task) for name, its in WEIGHTS.items()}
    for category in CATEGORIES:
        one = Scorer([PLAIN, MIDDLE, DENSE], Settings())(category, DENSE)
        ten = Scorer([PLAIN, MIDDLE, DENSE], Settings(weights=tenfold))(category, DENSE)
        assert one.total == pytest.approx(ten.total)


SHARE = st.one_of(st.none(), st.floats(0, 1))
TERMS = st.builds(
    Terms,
    st.floats(0, 1e5), st.floats(0, 1), st.one_of(st.none(), st.floats(1, 1e40)),
    st.one_of(st.none(), st.floats(0, 8)), SHARE, SHARE, SHARE,
)  # fmt: skip


@given(st.lists(TERMS, min_size=1, max_size=12), st.sampled_from(CATEGORIES), TERMS, st.randoms())
def test_scores_lie_within_0_and_1_whatever_the_order(
    datasets: list[Terms], category: str, sample: Terms, rng: random.Random
) -> None:
    shuffled = datasets.copy()
    rng.shuffle(shuffled)
    scorer, other = Scorer(datasets, Settings()), Scorer(shuffled, Settings())
    for terms in (*datasets, sample):
        scores = scorer(category, terms)  # type: ignore[arg-type]
        assert other(category, terms) == scores  # type: ignore[arg-type]
        there = [value for value in vars(scores).values() if value is not None]
        assert all(0 <= value <= 1 for value in there)


@given(st.lists(TERMS, min_size=1, max_size=8), TERMS, st.sampled_from(CATEGORIES), st.floats(1, 3))
def test_more_is_never_less_complex(datasets: list[Terms], sample: Terms, category: str, times: float) -> None:
    scorer = Scorer(datasets, Settings())
    assert sample.length is not None
    more = replace(sample, length=sample.length * times)
    assert scorer(category, more).total >= scorer(category, sample).total  # type: ignore[arg-type]


def test_every_category_has_weights_and_pictures_weigh_nothing_in_text() -> None:
    assert set(WEIGHTS) == set(CATEGORIES)
    assert all(weights.text + weights.image + weights.task == pytest.approx(1) for weights in WEIGHTS.values())
    assert WEIGHTS["text"].image == 0


def test_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('normalisation = "minmax"\nbeta = 2\n[weights.chart]\ntext = 1\nimage = 2.5\ntask = 0\n')
    settings = read_settings(path)
    assert (settings.normalisation, settings.beta, settings.delta) == ("minmax", 2, Settings().delta)
    assert settings.weights["chart"] == Weights(1, 2.5, 0)
    assert settings.weights["ocr"] == WEIGHTS["ocr"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("beta = 0.5", "beta 0.5: it must be a number of at least 1"),
        ("beta = true", "beta True: it must be a number"),
        ("delta = -1", "delta -1: it must be a number of at least 0"),
        ("delta = nan", "delta nan"),
        ("gamma = 1", "unknown keys gamma; there are normalisation, beta, delta, weights"),
        ('normalisation = "z"', "normalisation 'z': there are rank, minmax"),
        ("weights = 3", "weights 3: a table for each category"),
        ("[weights.poem]\ntext = 1", "weights of poem; categories are reasoning, gui"),
        ("[weights.ocr]\ntext = 1", "weights of ocr: text, image and task are due, all three"),
        ("[weights.ocr]\ntext = 0\nimage = 1\ntask = 1", "text must be above 0"),
        ("[weights.ocr]\ntext = 'a'\nimage = 1\ntask = 1", "text must be above 0"),
        ("[weights.ocr]\ntext = inf\nimage = 1\ntask = 1", "text must be above 0"),
        ("beta = ", "not valid TOML"),
    ],
)
def test_settings_that_cannot_be(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"own\.toml: ") as error:
        read_settings(path)
    assert said in str(error.value)


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("datasets", "highest_low"),
    [
        ([(0.4, 1)], None),
        ([(0.4, 1), (0.4, 9)], None),
        ([], None),
        ([(0.8, 1), (0.2, 1)], 0.5),
        # Three alike: one low or two, and the lower cut is taken.
        ([(0.1, 1), (0.3, 1), (0.9, 1)], 0.2),
        # One large dataset weighs as much as the others together.
        ([(0.1, 30), (0.3, 10), (0.5, 10), (0.9, 10)], 0.2),
        ([(0.1, 10), (0.3, 10), (0.5, 10), (0.9, 30)], 0.7),
        # Equal scores stay together.
        ([(0.1, 1), (0.3, 1), (0.3, 1), (0.3, 1)], 0.2),
    ],
)
def test_the_cut_by_hand(datasets: list[tuple[float, float]], highest_low: float | None) -> None:
    found = cut(datasets)
    assert found == (highest_low if highest_low is None else pytest.approx(highest_low))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 10**7)), min_size=1, max_size=20), st.randoms())
def test_both_sides_have_datasets_and_no_other_cut_is_more_even(
    datasets: list[tuple[float, float]], rng: random.Random
) -> None:
    shuffled = datasets.copy()
    rng.shuffle(shuffled)
    highest_low = cut(datasets)
    assert cut(shuffled) == highest_low
    scores = sorted({score for score, _ in datasets})
    if highest_low is None:
        assert len(scores) == 1
        return
    assert any(score <= highest_low for score in scores)
    assert any(score > highest_low for score in scores)

    def imbalance(limit: float) -> float:
        return abs(sum(weight if score <= limit else -weight for score, weight in datasets))

    assert imbalance(highest_low) == min(imbalance(score) for score in scores[:-1])
