"""Descriptions of windows become one of the film, by words and times alone."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.video.description import Action, Description, Subject
from magicvl.edge.video.join import Described, join
from magicvl.edge.video.track import Sighting

FIRST, SECOND = (0.5, 1.5, 2.5), (3.5, 4.5)


def _part(times: tuple[float, ...], *subjects: Subject, caption: str = "c") -> Described:
    return Described(times, Description(subjects, caption))


def _doing(name: str, action: str, *times: float, attributes: tuple[str, ...] = ("red",)) -> Subject:
    return Subject(name, attributes, (Action(action, times),))


def test_the_same_subject_goes_on_in_the_next_window() -> None:
    one = _part(FIRST, _doing("circle", "moves left", 0.5), _doing("star", "spins", 2.5), caption="One. ")
    two = _part(SECOND, _doing("Circle", "jumps", 4.5, attributes=("Red",)), caption=" Two.")
    made = join([one, two])
    assert made.caption == "One. Two."
    assert made.subjects == (
        Subject("circle", ("red",), (Action("moves left", (0.5,)), Action("jumps", (4.5,)))),
        _doing("star", "spins", 2.5),
    )


def test_a_track_goes_on_in_the_next_window() -> None:
    first, second = Sighting(2.5, 0.5, 0.5, 0.25, "red"), Sighting(3.5, 0.55, 0.5, 0.25, "red")
    one = _part(FIRST, replace(_doing("circle", "spins", 2.5), track=(first,)))
    two = _part(SECOND, replace(_doing("circle", "jumps", 4.5), track=(second,)))
    assert join([one, two]).subjects[0].track == (first, second)


def test_other_attributes_are_another_subject_and_their_order_is_not() -> None:
    one = _part(FIRST, _doing("circle", "a", 0.5, attributes=("red", "small")))
    two = _part(SECOND, _doing("circle", "b", 3.5, attributes=("small", "red")), _doing("circle", "c", 3.5))
    made = join([one, two])
    assert [len(subject.actions) for subject in made.subjects] == [2, 1]


def test_what_goes_on_over_the_border_is_done_once() -> None:
    one = _part(FIRST, _doing("circle", "moves  Left", 1.5, 2.5))
    assert join([one, _part(SECOND, _doing("circle", "moves left", 3.5))]).subjects[0].actions == (
        Action("moves  Left", (1.5, 2.5, 3.5)),
    )
    later = join([one, _part(SECOND, _doing("circle", "moves left", 4.5))])
    assert [action.times for action in later.subjects[0].actions] == [(1.5, 2.5), (4.5,)]
    earlier = join(
        [_part(FIRST, _doing("circle", "moves left", 1.5)), _part(SECOND, _doing("circle", "moves left", 3.5))]
    )
    assert len(earlier.subjects[0].actions) == 2


def test_two_alike_stay_two_and_keep_their_places() -> None:
    one = _part(FIRST, _doing("circle", "a", 0.5), _doing("circle", "b", 0.5))
    two = _part(SECOND, _doing("circle", "c", 3.5), _doing("circle", "d", 3.5), _doing("circle", "e", 3.5))
    made = join([one, two])
    assert [[action.action for action in subject.actions] for subject in made.subjects] == [
        ["a", "c"],
        ["b", "d"],
        ["e"],
    ]


NAMES = st.sampled_from(["circle", "star"])
KINDS = st.lists(st.sampled_from(["red", "big"]), max_size=2, unique=True).map(tuple)


@st.composite
def films(draw: st.DrawFn) -> list[Described]:
    parts, now = [], 0.0
    for _ in range(draw(st.integers(1, 4))):
        times = tuple(now + i for i in range(draw(st.integers(1, 4))))
        now = times[-1] + 1

        def subject(times: tuple[float, ...] = times) -> st.SearchStrategy[Subject]:
            span = st.tuples(st.integers(0, len(times) - 1), st.integers(1, len(times))).filter(lambda s: s[0] < s[1])
            acts = st.builds(lambda words, s: Action(words, times[s[0] : s[1]]), NAMES, span)
            return st.builds(Subject, NAMES, KINDS, st.lists(acts, max_size=3).map(tuple))

        subjects = tuple(draw(st.lists(subject(), max_size=4)))
        parts.append(Described(times, Description(subjects, draw(st.sampled_from(["a", "b."])))))
    return parts


@settings(max_examples=40, deadline=None)
@given(parts=films())
def test_no_action_and_no_frame_of_one_is_lost_or_made_up(parts: list[Described]) -> None:
    made = join(parts)

    def seen(subjects: tuple[Subject, ...]) -> list[tuple[object, ...]]:
        return sorted(
            (s.name, tuple(sorted(s.attributes)), a.action, when)
            for s in subjects
            for a in s.actions
            for when in a.times
        )

    assert seen(made.subjects) == seen(tuple(s for part in parts for s in part.description.subjects))
    for subject in made.subjects:
        begins = [action.times[0] for action in subject.actions]
        assert begins == sorted(begins)
        assert all(list(action.times) == sorted(set(action.times)) for action in subject.actions)
    assert made.caption == " ".join(part.description.caption for part in parts)
    assert join(parts) == made
    kinds = [{(s.name, frozenset(s.attributes)) for s in part.description.subjects} for part in parts]
    assert {(s.name, frozenset(s.attributes)) for s in made.subjects} == set().union(*kinds)
