"""Which moments are chosen: spread evenly, told apart at one decimal, and with every scene among them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.edge.video.choose import STEP, scene_times, uniform_times
from magicvl.edge.video.description import time_text
from magicvl.edge.video.scenes import SIDE, Grey, changes, cuts
from magicvl.edge.video.window import windows

LENGTHS = st.floats(0, 86_400) | st.integers(0, 200).map(lambda tenths: tenths / 10)


@given(seconds=LENGTHS, count=st.integers(1, 300))
def test_even_moments_are_the_middles_of_equal_parts_and_written_apart(seconds: float, count: int) -> None:
    times = uniform_times(seconds, count)
    assert len({time_text(when) for when in times}) == len(times)
    assert len(times) == (count if seconds / count > STEP + 1e-9 else max(1, min(count, int(seconds / STEP))))
    part = seconds / len(times)
    assert times == pytest.approx([part * (i + 0.5) for i in range(len(times))])


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 0), (-1.0, 3), (float("nan"), 3), (float("inf"), 3)])
def test_lengths_and_counts_that_are_none_are_refused(seconds: float, count: int) -> None:
    with pytest.raises(ValueError, match="moments of"):
        uniform_times(seconds, count)


@given(data=st.data(), seconds=st.floats(0.2, 1000), count=st.integers(1, 60))
def test_scenes_get_at_least_one_moment_each_as_far_as_moments_go(
    data: st.DataObject, seconds: float, count: int
) -> None:
    moments = data.draw(st.lists(st.floats(0, seconds), max_size=20, unique=True))
    found = [(when, data.draw(st.floats(0.06, 1))) for when in sorted(moments)]
    times = scene_times(seconds, count, found)
    assert len({time_text(when) for when in times}) == len(times) <= count
    assert list(times) == sorted(times) and times[0] >= 0 and times[-1] <= seconds
    assert len(times) == count or seconds < 3 * STEP * count
    far = all(b - a > 3 * STEP for a, b in pairwise([0.0, *(when for when, _ in found), seconds]))
    if far and len(found) < count:
        for begin, end in pairwise([0.0, *(when for when, _ in found), seconds]):
            assert any(begin <= when <= end for when in times)


def test_of_too_many_scenes_the_weakest_are_left_out() -> None:
    found = [(2.0, 0.3), (4.0, 0.9), (6.0, 0.2)]
    assert scene_times(8.0, 2, found) == (2.0, 6.0)
    assert scene_times(8.0, 3, found) == (1.0, 3.0, 6.0)
    assert scene_times(10.0, 5, [(2.0, 0.5)]) == (1.0, 3.0, 5.0, 7.0, 9.0)
    assert scene_times(9.0, 3, []) == uniform_times(9.0, 3)


def _scenes(lengths: list[int], *, moving: int = 0, seed: int = 0) -> list[tuple[float, Grey]]:
    """Thumbnails of scenes, each a still or a pan over a picture of its own."""
    random, found = np.random.default_rng(seed), []
    for length in lengths:
        wide = np.repeat(random.integers(0, 256, (SIDE, 40), dtype=np.uint8), 8, axis=1)
        for number in range(length):
            left = moving * number
            found.append((0.25 * len(found), wide[:, left : left + SIDE]))
    return found


@pytest.mark.parametrize("moving", [0, 1, 2])
def test_cuts_are_found_in_stills_and_in_moving_pictures(moving: int) -> None:
    found = cuts(changes(_scenes([12, 8, 20], moving=moving)))
    assert [when for when, _ in found] == [3.0, 5.0]


@pytest.mark.parametrize("moving", [0, 1, 3, 6])
def test_a_camera_that_moves_cuts_nothing(moving: int) -> None:
    assert cuts(changes(_scenes([40], moving=moving))) == []


@given(
    data=st.data(), begin=st.floats(0, 50), seconds=st.floats(1, 500), count=st.integers(1, 80), most=st.integers(1, 20)
)
def test_windows_hold_every_frame_once_and_are_as_equal_as_can_be(
    data: st.DataObject, begin: float, seconds: float, count: int, most: int
) -> None:
    times = [begin + when for when in uniform_times(seconds, count)]
    found = windows(times, begin, begin + seconds, most)
    assert [when for window in found for when in window.times] == times
    sizes = [len(window.times) for window in found]
    assert max(sizes) <= most and max(sizes) - min(sizes) <= 1 and len(found) == -(-len(times) // most)
    assert (found[0].begin, found[-1].end) == (begin, begin + seconds)
    for before, after in pairwise(found):
        assert before.times[-1] < before.end == after.begin < after.times[0]
    for window in found:
        local = [time_text(when - window.begin) for when in window.times]
        assert len(set(local)) == len(local)
