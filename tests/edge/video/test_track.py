"""What is written of a subject frame by frame is read again, and nothing else is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.edge.video.track import Sighting, read_track, track_pattern, write_track

TIMES = (0.4, 1.2, 2.0, 2.8, 3.6, 4.4, 5.2, 6.0, 6.8, 7.6, 8.4)
PATTERN = re.compile(track_pattern(len(TIMES)))
SHARES = st.integers(0, 9).map(lambda digit: round(digit / 10 + 0.05, 2))
LOOKS = st.lists(st.sampled_from(["green", "tilted", "light"]), max_size=2).map(" ".join)


@st.composite
def tracks(draw: st.DrawFn) -> tuple[Sighting, ...]:
    seen = sorted(draw(st.sets(st.sampled_from(TIMES))))
    return tuple(Sighting(time, draw(SHARES), draw(SHARES), draw(SHARES), draw(LOOKS)) for time in seen)


@given(track=tracks())
def test_what_is_written_is_read_as_it_was(track: tuple[Sighting, ...]) -> None:
    text = write_track(track, TIMES)
    assert read_track(text, TIMES) == track
    assert PATTERN.fullmatch(text)


@given(text=st.one_of(st.from_regex(r"([0-9]{1,2} [0-9]{3}( [a-z]{1,14}){0,3};){0,4}", fullmatch=True), st.text()))
def test_the_pattern_takes_what_is_read_and_nothing_else(text: str) -> None:
    try:
        read_track(text, TIMES)
    except ValueError:
        assert not PATTERN.fullmatch(text)
    else:
        assert PATTERN.fullmatch(text)


@given(x=st.floats(0, 1, exclude_max=True), y=st.floats(0, 1, exclude_max=True), size=st.floats(0, 5))
def test_a_digit_is_right_to_a_twentieth(x: float, y: float, size: float) -> None:
    (read,) = read_track(write_track([Sighting(2.0, x, y, size, "red")], TIMES), TIMES)
    assert (read.time, read.look) == (2.0, "red")
    assert abs(read.x - x) < 0.051 and abs(read.y - y) < 0.051 and abs(read.size - min(size, 0.95)) < 0.051


def test_an_example_says_what_the_format_says() -> None:
    assert write_track([Sighting(2.0, 0.09, 0.51, 0.39, "green tilted"), Sighting(3.6, 0.9, 0, 0.95, "")], TIMES) == (
        "3 053 green tilted;5 909;"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("12 053 green;", "no sighting in one of 11 frames"),
        ("0 053;", "no sighting"),
        ("2 053", "no sighting"),
        ("2 05 green;", "no sighting"),
        ("2 053 green;1 053;", "not in order"),
        ("2 053;2 053;", "not in order"),
    ],
)
def test_what_is_no_track_is_an_error(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_track(text, TIMES)
