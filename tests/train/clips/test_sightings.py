"""Sightings are what a frame's pixels show."""

import numpy as np
import pytest

from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.track import Sighting
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip
from magicvl.train.nano.scenes import COLOURS


def _shown(style: str, count: int, seed: int) -> list[tuple[Clip, int, Sighting]]:
    found = []
    for number in range(count):
        clip = make_clip(seed, number, "train", style)
        for who, subject in enumerate(clip.description(uniform_times(clip.seconds, 8)).subjects):
            found += [(clip, who, sighting) for sighting in subject.track]
    return found


@pytest.mark.parametrize("style", ["shapes/simple", "shapes/mixed", "shapes/rich"])
def test_a_shape_is_there_in_its_colour(style: str) -> None:
    looked = right = 0
    for clip, who, sighting in _shown(style, 25, 11):
        if clip.subjects[who].name in ("ring", "wall"):
            # A ring has nothing in its middle, a wall joints.
            continue
        pixel = np.asarray(clip.picture(sighting.time))[int(sighting.y * clip.height), int(sighting.x * clip.width)]
        nearest = min(COLOURS, key=lambda name: abs(np.array(COLOURS[name]) - pixel.astype(int)).sum())
        looked += 1
        right += nearest == sighting.look.split()[0]
    # Two colours may be equally near to one on its way to another.
    assert looked > 100 and right >= 0.97 * looked


def test_sizes_follow_who_grows_and_shrinks() -> None:
    changed = 0
    for number in range(60):
        clip = make_clip(12, number, "train", "shapes/simple")
        (subject, *_) = clip.description(uniform_times(clip.seconds, 8)).subjects
        said = {action.action for action in subject.actions}
        sizes = [each.size for each in subject.track]
        if "grows" in said and "shrinks" not in said:
            assert max(sizes) > 1.3 * min(sizes) and sizes[-1] > sizes[0]
            changed += 1
        if not said & {"grows", "shrinks"}:
            assert max(sizes) == pytest.approx(min(sizes))
    assert changed > 5


def test_who_is_hidden_or_out_of_the_frame_is_not_seen() -> None:
    hidden = absent = 0
    for number in range(120):
        clip = make_clip(13, number, "train", "shapes/mixed")
        times = uniform_times(clip.seconds, 8)
        for who, subject in enumerate(clip.description(times).subjects):
            seen = {each.time for each in subject.track}
            for event in (each for each in clip.events if each.subject == who):
                later = {time for time in times if time >= event.end}
                if event.action.startswith("hides") and not any("comes" in each.action for each in clip.events):
                    assert not seen & later
                    hidden += 1
                if event.action.startswith("leaves"):
                    assert not seen & later
                    absent += 1
                if event.action.startswith("enters"):
                    assert all(time >= event.begin for time in seen)
    assert hidden > 3 and absent > 3


def test_tilted_is_who_spins_alone() -> None:
    tilted, spun = 0, 0
    for number in range(60):
        clip = make_clip(14, number, "train", "shapes/simple")
        (subject, *_) = clip.description(uniform_times(clip.seconds, 12)).subjects
        spins = any(action.action == "spins" for action in subject.actions)
        turned = any("tilted" in each.look for each in subject.track)
        assert spins or not turned
        tilted, spun = tilted + turned, spun + spins
    # One that is turned by nearly a whole step of its symmetry in every frame is rare.
    assert tilted >= 0.9 * spun > 5
