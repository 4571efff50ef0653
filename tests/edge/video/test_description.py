"""What a model may write of a film: what is written is read as it was, and llama.cpp's grammar takes just that."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicvl.edge.answer import Options
from magicvl.edge.grammar import Grammar
from magicvl.edge.prompt import Picture
from magicvl.edge.video import description
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import Action, Description, Subject, film_message, read, schema, time_text, write
from magicvl.edge.video.track import MOST_FRAMES, Sighting
from magicvl.errors import EngineError

TIMES = uniform_times(6.3, 7)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60).filter(str.strip)


@st.composite
def actions(draw: st.DrawFn, times: tuple[float, ...] = TIMES) -> Action:
    first = draw(st.integers(0, len(times) - 1))
    return Action(draw(WORDS), times[first : draw(st.integers(first + 1, len(times)))])


def descriptions(words: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Description]:
    several = st.lists(words, max_size=description.MOST_ATTRIBUTES).map(tuple)
    acts = st.lists(actions(), max_size=3).map(tuple)
    subjects = st.lists(st.builds(Subject, words, several, acts), max_size=3).map(tuple)
    return st.builds(Description, subjects, words)


VALID = jsonschema.Draft202012Validator(schema(TIMES))


@settings(max_examples=30, deadline=None)
@given(found=descriptions())
def test_what_is_written_is_read_as_it_was(found: Description) -> None:
    assert read(write(found), TIMES) == found
    VALID.validate(json.loads(write(found)))


SHARES = st.integers(0, 9).map(lambda digit: round(digit / 10 + 0.05, 2))


@st.composite
def tracks(draw: st.DrawFn) -> tuple[Sighting, ...]:
    seen = sorted(draw(st.sets(st.sampled_from(TIMES))))
    return tuple(Sighting(time, draw(SHARES), draw(SHARES), draw(SHARES), "red") for time in seen)


@settings(max_examples=30, deadline=None)
@given(found=descriptions(), track=tracks())
def test_tracks_are_read_as_they_were_and_only_where_there_are_some(
    found: Description, track: tuple[Sighting, ...]
) -> None:
    whole = replace(found, subjects=tuple(replace(each, track=track) for each in found.subjects))
    text = write(whole, TIMES, tracks=True)
    assert read(text, TIMES, tracks=True) == whole
    jsonschema.validate(json.loads(text), schema(TIMES, tracks=True))
    assert write(whole) == write(found)
    if found.subjects:
        with pytest.raises(EngineError, match="is no description of a film"):
            read(text, TIMES)
        with pytest.raises(EngineError, match="is no description of a film"):
            read(write(whole), TIMES, tracks=True)


def test_too_many_frames_have_no_tracks() -> None:
    most = Options(schema=schema(uniform_times(100.0, MOST_FRAMES), tracks=True)).grammar
    assert most is not None and "track" in most.gbnf
    times = uniform_times(100.0, MOST_FRAMES + 1)
    said = Description((Subject("circle", (), ()),), "It is there.")
    assert write(said, times, tracks=True) == write(said)
    assert read(write(said), times, tracks=True) == said
    assert "track" not in json.dumps(schema(times, tracks=True))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tracks"])
def tracked(request: pytest.FixtureRequest) -> bool:
    """Whether descriptions have tracks."""
    return bool(request.param)


@pytest.fixture(scope="module")
def takes(takes: Callable[[Grammar, str], bool], tracked: bool) -> Callable[[str], bool]:
    """Whether the grammar of the seven frames takes a whole text."""
    grammar = Options(schema=schema(TIMES, tracks=tracked)).grammar
    assert grammar is not None
    return partial(takes, grammar)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=descriptions(st.sampled_from(["circle", "red", 'a "quoted" one', "naïve 東京", "x" * 60])))
def test_the_grammar_takes_what_training_writes(
    found: Description, tracked: bool, takes: Callable[[str], bool]
) -> None:
    assert takes(write(found, TIMES, tracks=tracked))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(track=tracks())
def test_the_grammar_takes_tracks_where_there_are_some(
    track: tuple[Sighting, ...], tracked: bool, takes: Callable[[str], bool]
) -> None:
    text = write(Description((Subject("circle", ("red",), (), track),), "Red."), TIMES, tracks=True)
    assert takes(text) == tracked
    assert not takes(text.replace('"track":"', '"track":"8 555 red;'))


WHOLE = Description((Subject("circle", ("red",), (Action("moves", TIMES[1:3]),)),), "It moves.")


def _changed(change: Callable[[Any], object], *, tracks: bool = False) -> str:
    """The JSON of WHOLE after a change, as training writes it."""
    data = json.loads(write(WHOLE, TIMES, tracks=tracks))
    change(data)
    return json.dumps(data, separators=(",", ":"))


def _act(**changed: object) -> Callable[[Any], object]:
    return lambda data: data["subjects"][0]["actions"][0].update(changed)


INVALID: dict[str, Callable[[Any], object]] = {
    "a time of no frame": _act(**{"from": 0.3}),
    "an end before the beginning": _act(**{"from": float(time_text(TIMES[3]))}),
    "true for a time": _act(to=True),
    "no words": _act(action=""),
    "too many words": _act(action="x" * 61),
    "one key more": _act(why="so"),
    "no caption": lambda data: data.pop("caption"),
    "a caption that is none": lambda data: data.update(caption=None),
    "a long caption": lambda data: data.update(caption="x" * 1001),
    "an attribute that is none": lambda data: data["subjects"][0].update(attributes=[3]),
    "too many attributes": lambda data: data["subjects"][0].update(attributes=["red"] * 7),
    "too many actions": lambda data: data["subjects"][0].update(actions=data["subjects"][0]["actions"] * 9),
    "too many subjects": lambda data: data.update(subjects=data["subjects"] * 9),
    "subjects that are none": lambda data: data.update(subjects={}),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_the_schema_forbids_is_neither_read_nor_sampled(
    name: str, tracked: bool, takes: Callable[[str], bool]
) -> None:
    text = _changed(INVALID[name], tracks=tracked)
    with pytest.raises(EngineError, match="is no description of a film"):
        read(text, TIMES, tracks=tracked)
    assert not takes(text)
    assert not jsonschema.Draft202012Validator(schema(TIMES, tracks=tracked)).is_valid(json.loads(text))


@given(end=st.integers(1, len(write(WHOLE)) - 1))
def test_a_text_cut_short_is_no_description(end: int) -> None:
    with pytest.raises(EngineError, match="is no description of a film"):
        read(write(WHOLE)[:end], TIMES)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"subjects":[],"caption":"  "}', "3", '"' + "x" * 100])
def test_odd_texts_are_one_clear_error(text: str) -> None:
    with pytest.raises(EngineError, match="is no description of a film"):
        read(text, TIMES)


def test_an_action_has_every_frame_from_its_first_to_its_last() -> None:
    text = write(Description((Subject("a", (), (Action("b", (TIMES[1], TIMES[4])),)),), "c"))
    assert read(text, TIMES).subjects[0].actions[0].times == TIMES[1:5]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (2.04, "2"), (0.35, "0.3"), (12.96, "13"), (86_399.95, "86399.9"), (123_456.7, "123456.7")],
)
def test_times_have_one_decimal_at_most(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_the_model_reads_each_time_before_its_frame() -> None:
    message = film_message([0.5, 2.0])
    assert message.parts == ("0.5s", Picture(0), "2s", Picture(1), description.PROMPT)
    counted = film_message([0.5, 2.0], tracks=True)
    assert counted.parts == ("1: 0.5s", Picture(0), "2: 2s", Picture(1), description.PROMPT)
