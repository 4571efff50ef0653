"""Numbers can be read back, whatever the country."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.train.generator.locales import LOCALES, SCRIPT_DIGITS, Locale, in_script


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(LOCALES), st.integers(0, 10**9))
def test_numbers_read_back(locale: Locale, value: int) -> None:
    assert int(locale.number(value).replace(locale.group, "")) == value
    whole, cents = locale.amount(value).split(locale.point)
    assert int(whole.replace(locale.group, "")) * 100 + int(cents) == value
    assert locale.amount(value) in locale.money(value)


@pytest.mark.parametrize("locale", LOCALES, ids=lambda locale: locale.name)
def test_dates_and_times_are_whole(locale: Locale) -> None:
    rng = random.Random(1)
    for _ in range(20):
        assert re.search(r"\b(19|20)\d\d\b", locale.date(rng))
        assert re.fullmatch(r"\d{1,2}:\d\d( [AP]M)?", locale.time(rng))


@settings(max_examples=30, deadline=None)
@given(st.from_regex(r"\A[0-9]{1,8}\Z"), st.sampled_from(sorted(SCRIPT_DIGITS)))
def test_digits_of_other_scripts_mean_the_same(number: str, script: str) -> None:
    assert [int(digit) for digit in in_script(number, script)] == [int(digit) for digit in number]
