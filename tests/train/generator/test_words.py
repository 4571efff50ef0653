"""Words, names and products belong to one side each."""

import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.train.generator import names
from magicvl.train.generator.words import (
    belongs,
    made_up,
    sentence,
    several,
    side,
    those_of,
    vocabulary,
    with_articles,
    word,
)

KINDS = ("noun", "verb", "adjective")
SIDES = ("train", "validation", "test")


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1))
def test_a_word_is_on_one_side_whatever_its_case(text: str) -> None:
    assert [belongs(text, split) for split in SIDES].count(True) == 1
    assert belongs(text, "style") == belongs(text, "test")
    if text.lower() == text.upper().lower():
        assert side(text.upper()) == side(text)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1)))
def test_each_word_goes_somewhere_once(texts: list[str]) -> None:
    parts = [those_of(texts, split) for split in SIDES]
    assert sorted(text for part in parts for text in part) == sorted(set(texts))


def test_the_vocabulary_is_large_and_split() -> None:
    train, test = ({word for kind in KINDS for word in vocabulary(split, kind)} for split in ("train", "test"))
    assert len(train) > 5000 and len(test) > 800
    assert not train & test


def test_made_up_words_keep_to_their_side() -> None:
    rng = random.Random(3)
    made = [made_up(rng, "test") for _ in range(50)]
    assert {side(one) for one in made} == {"test"} and min(map(len, made)) > 2


def test_several_words_differ() -> None:
    words = several(random.Random(4), "train", 40)
    assert len(set(words)) == 40 and {side(one) for one in words} == {"train"}
    assert side(word(random.Random(5), "validation")) == "validation"


def test_an_article_goes_with_the_word_after_it() -> None:
    assert with_articles("A odd man saw a owl, a Ural and a cat") == "An odd man saw an owl, a Ural and a cat"
    assert not any(re.search(r"\b[Aa] [aeiou]", sentence(random.Random(seed), "train")) for seed in range(300))


def test_content_words_of_a_sentence_are_of_its_side() -> None:
    rng = random.Random(6)
    every = {word for split in SIDES for kind in KINDS for word in vocabulary(split, kind)}
    grammar = {word.strip(".,?!").lower() for _ in range(300) for word in sentence(rng, "train").split()}
    grammar &= {word.strip(".,?!").lower() for _ in range(300) for word in sentence(rng, "test").split()}
    for _ in range(100):
        words = {word.strip(".,?!").lower() for word in sentence(rng, "test").split()} & every
        assert {side(one) for one in words - grammar} <= {"test"}


PARTS: dict[str, Callable[[random.Random, str], list[str]]] = {
    "person": lambda rng, split: list(names.person(rng, split)),
    "people": lambda rng, split: list(names.people(rng, split, 6)),
    "town": lambda rng, split: [names.town(rng, split)],
    "shop": lambda rng, split: [names.shop(rng, split).split()[0]],
    "products": lambda rng, split: list(names.products(rng, split, 5)),
    "apps": lambda rng, split: list(names.apps(rng, split, 10)),
}


@pytest.mark.parametrize("part", list(PARTS))
@pytest.mark.parametrize("split", SIDES)
def test_names_are_of_their_side(part: str, split: str) -> None:
    rng = random.Random(7)
    for _ in range(20):
        found = PARTS[part](rng, split)
        assert {side(name) for name in found} == {split}
        assert len(set(found)) == len(found)


def test_no_product_is_part_of_another() -> None:
    goods = names.products(random.Random(8), "train", 20)
    assert len({name.split()[-1] for name in goods}) == 20
