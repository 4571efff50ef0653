"""Subjects, attributes and actions are matched one to one: what is wrong costs precision, what is missing recall."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.video.description import Action, Description, Subject
from magicvl.errors import SampleError
from magicvl.train.rewards.f1 import F1
from magicvl.train.rewards.reference import Reference
from magicvl.train.rewards.similarity import LemmaSimilarity
from magicvl.train.rewards.think_score import ThinkScore, matches, think_score

WORDS = LemmaSimilarity()
patient = settings(deadline=None, max_examples=40)
NAMES = ("circle", "square", "star", "dog", "car")
ATTRIBUTES = ("red", "blue", "small", "large", "striped", "wooden")
ACTIONS = ("moves left", "moves right", "jumps", "grows", "shrinks", "spins", "sings")


def subject(name: str, attributes: tuple[str, ...] = (), actions: tuple[str, ...] = ()) -> Subject:
    return Subject(name, attributes, tuple(Action(each, (0.5,)) for each in actions))


SUBJECTS = st.builds(
    subject,
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(ATTRIBUTES), max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(ACTIONS), max_size=3, unique=True).map(tuple),
)
FILMS = st.lists(SUBJECTS, min_size=1, max_size=4).map(tuple)


def score(said: tuple[Subject, ...], true: tuple[Subject, ...]) -> ThinkScore:
    return think_score(Description(said, "."), Reference(true), WORDS)


@patient
@given(FILMS)
def test_the_truth_is_worth_one(film: tuple[Subject, ...]) -> None:
    assert score(film, film).value == 1


@patient
@given(FILMS, FILMS)
def test_scores_lie_between_0_and_1_and_swap_precision_and_recall(
    said: tuple[Subject, ...], true: tuple[Subject, ...]
) -> None:
    found, turned = score(said, true), score(true, said)
    for each in (found.attributes, found.actions):
        assert 0 <= each.precision <= 1
        assert 0 <= each.recall <= 1
    assert 0 <= found.value <= 1
    assert turned.attributes == F1(found.attributes.hits, found.attributes.true, found.attributes.said)


@patient
@given(FILMS, FILMS)
def test_order_does_not_matter(said: tuple[Subject, ...], true: tuple[Subject, ...]) -> None:
    found = score(said, true)
    assert score(said[::-1], true).attributes == found.attributes
    assert score(said, true[::-1]).attributes == found.attributes
    turned = tuple(replace(each, attributes=each.attributes[::-1], actions=each.actions[::-1]) for each in said)
    assert score(turned, true) == found


@patient
@given(FILMS, st.data())
def test_a_true_attribute_that_is_left_out_costs_recall(film: tuple[Subject, ...], data: st.DataObject) -> None:
    with_some = [number for number, each in enumerate(film) if each.attributes]
    if not with_some:
        return
    number = data.draw(st.sampled_from(with_some))
    less = replace(film[number], attributes=film[number].attributes[1:])
    found = score((*film[:number], less, *film[number + 1 :]), film)
    assert found.attributes.recall < 1
    assert found.attributes.precision == 1


@patient
@given(FILMS, st.data())
def test_a_false_attribute_or_action_costs_precision(film: tuple[Subject, ...], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(film) - 1))
    more = replace(
        film[number],
        attributes=(*film[number].attributes, "invisible"),
        actions=(*film[number].actions, Action("sleeps", (0.5,))),
    )
    found = score((*film[:number], more, *film[number + 1 :]), film)
    assert found.attributes.recall == found.actions.recall == 1
    assert found.attributes.precision < 1
    assert found.actions.precision < 1


@patient
@given(FILMS, SUBJECTS)
def test_an_extra_subject_is_never_free(film: tuple[Subject, ...], extra: Subject) -> None:
    found = score((*film, extra), film)
    assert found.attributes.precision < 1
    assert found.attributes.recall == 1
    missing = score(film, (*film, extra))
    assert missing.attributes.recall < 1


@patient
@given(FILMS)
def test_said_twice_is_no_better(film: tuple[Subject, ...]) -> None:
    assert score(film * 2, film).value < 1


def test_of_two_of_a_name_the_attributes_tell_who_is_meant() -> None:
    true = (subject("circle", ("red",), ("jumps",)), subject("circle", ("blue",), ("spins",)))
    said = (subject("circle", ("blue",), ("spins",)), subject("circle", ("red",), ("jumps",)))
    assert score(said, true).value == 1
    swapped = (subject("circle", ("blue",), ("jumps",)), subject("circle", ("red",), ("spins",)))
    assert score(swapped, true).actions.hits == 0
    assert score(swapped, true).attributes.value == 1


def test_where_names_and_attributes_leave_a_choice_actions_decide() -> None:
    true = (subject("dog", (), ("jumps",)), subject("dog", (), ("sings",)))
    assert score(true[::-1], true).value == 1


def test_opposites_are_no_match_and_other_words_are() -> None:
    assert matches(["moves left"], ["moves right"], WORDS) == 0
    assert matches(["goes to the left"], ["moves left"], WORDS) == 1
    assert matches(["red", "red"], ["red", "blue"], WORDS) == 1
    assert matches([], ["red"], WORDS) == 0


def test_somebody_else_gets_no_actions() -> None:
    true = (subject("circle", ("red", "small"), ("jumps",)),)
    assert score((subject("car", ("blue",), ("jumps",)),), true).actions.hits == 0
    close = score((subject("square", ("red", "small"), ("jumps",)),), true)
    assert (close.attributes.hits, close.actions.hits) == (2, 1)


def test_a_reference_without_subjects_says_so() -> None:
    with pytest.raises(SampleError, match="without subjects"):
        score((), ())


def test_nothing_said_is_worth_nothing() -> None:
    assert score((), (subject("circle", ("red",), ("jumps",)),)).value == 0
