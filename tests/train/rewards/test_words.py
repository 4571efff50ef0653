"""Words are compared by their lemma and meaning; opposites are told by words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.train.rewards.clauses import clauses
from magicvl.train.rewards.contrast import beyond, lacks, opposed
from magicvl.train.rewards.frames import event_frames, frames
from magicvl.train.rewards.similarity import LemmaSimilarity
from magicvl.train.rewards.words import content, words

patient = settings(deadline=None, max_examples=40)
TEXTS = st.lists(
    st.sampled_from("the a red blue circle dog moves left right jumps and . , it which is followed by to up".split())
).map(" ".join)


def meanings(text: str) -> list[str]:
    return [word.meaning for word in content(text)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("moves to the left", "moving left"),
        ("hops", "jumped"),
        ("gets bigger", "grows"),
        ("a gray disc", "grey circles"),
        ("rises", "goes up"),
        ("comes in", "enters"),
    ],
)
def test_other_forms_and_words_mean_the_same(first: str, second: str) -> None:
    assert [each for each in meanings(first) if each != "to"] == meanings(second)


def test_left_is_a_side_or_the_past_of_leave() -> None:
    assert meanings("the circle moves left") == ["circle", "move", "left"]
    assert meanings("the circle left the picture") == ["circle", "leave", "scene"]


@pytest.mark.parametrize(
    ("first", "second", "rule_out"),
    [
        ("red", "blue", True),
        ("red", "red and white", False),
        ("red and blue", "red and white", True),
        ("moves left", "moves right", True),
        ("grows", "gets smaller", True),
        ("moves", "does not move", True),
        ("turns from red to blue", "turns from blue to red", True),
        ("red and white", "white and red", False),
        ("a red circle", "a striped circle", False),
    ],
)
def test_opposites(first: str, second: str, rule_out: bool) -> None:
    assert opposed(content(first), content(second)) is rule_out
    assert opposed(content(second), content(first)) is rule_out


def test_a_list_of_all_colours_is_beyond_each() -> None:
    assert beyond(content("a red blue green circle"), content("a red circle"))
    assert not beyond(content("a circle"), content("a red circle"))
    assert lacks(content("moves"), content("moves left"))
    assert not lacks(content("moves left"), content("moves"))


@patient
@given(TEXTS, TEXTS)
def test_similarity_is_symmetric_and_one_for_itself(first: str, second: str) -> None:
    table = LemmaSimilarity().table([first, second], [first, second])
    assert ((table >= 0) & (table <= 1)).all()
    assert table[0, 1] == table[1, 0]
    if content(first):
        assert table[0, 0] == 1


def test_a_table_has_the_shape_of_its_sides() -> None:
    assert LemmaSimilarity().table([], ["red"]).shape == (0, 1)
    assert LemmaSimilarity().table(["red", "blue"], []).shape == (2, 0)


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("A red circle enters and moves left.", ["red circle: enters", "red circle: moves left"]),
        ("A star spins. Then it jumps.", ["star: spins", "star: jumps"]),
        ("The car is followed by a dog.", ["dog: followed car"]),
        ("A red ring hops. A dog sings. The ring grows.", ["red ring: hops", "dog: sings", "red ring: grows"]),
        ("A dog chases a cat, which jumps.", ["dog: chases cat", "cat: jumps"]),
        ("The dog leaves after the cat has slept.", ["cat: slept", "dog: leaves"]),
        ("There is a red circle and a blue square. The square grows.", ["blue square: grows"]),
        ("A red star and a blue ring are in view.", []),
        ("Two children build a castle.", ["two children: build castle"]),
        ("We see a man walking.", ["man: walking"]),
        ("A red ring jumps. A star meets the ring.", ["red ring: jumps", "star: meets red ring"]),
        ("", []),
    ],
)
def test_who_does_what(caption: str, told: list[str]) -> None:
    found = [[" ".join(word.text for word in part) for part in (each.actor, each.deed)] for each in frames(caption)]
    assert [f"{actor}: {deed}" for actor, deed in found] == told


@patient
@given(TEXTS)
def test_any_text_has_clauses_and_frames(text: str) -> None:
    assert all(words(each) for each in clauses(text))
    assert len(frames(text)) <= len(clauses(text))
    assert len(event_frames((text, text))) == 2
