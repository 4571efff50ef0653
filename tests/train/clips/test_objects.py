"""Clips of named drawings, with a small pack."""

from collections.abc import Sequence

import numpy as np
import pytest

from magicvl.edge.video.choose import uniform_times
from magicvl.train.assets.pack import installed_pack
from magicvl.train.clips import cast_objects
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip

pytestmark = pytest.mark.usefixtures("drawings")


@pytest.fixture
def clips() -> Sequence[Clip]:
    return [
        make_clip(2, index, "train", style)
        for style in ("objects/simple", "objects/mixed", "objects/rich") for index in range(12)
    ]  # fmt: skip


def test_actors_are_drawings_of_the_split(clips: Sequence[Clip]) -> None:
    for clip in clips:
        names = [who.name for who in clip.subjects]
        assert len(set(names)) == len(names)
        assert set(names) <= {*installed_pack().things("train"), "wall"}
        assert 320 <= clip.width <= 480 and 240 <= clip.height <= 360
        assert all("turns" not in event.action for event in clip.events)


def test_frames_change_while_something_happens_and_only_then(clips: Sequence[Clip]) -> None:
    for clip in clips:
        first = clip.events[0]
        begin, middle = (clip.picture(seconds) for seconds in (0.0, (first.begin + first.end) / 2))
        assert begin.size == (clip.width, clip.height) and begin.mode == "RGB"
        assert begin.tobytes() == clip.picture(first.begin - 0.04).tobytes() != middle.tobytes()


def test_who_enters_was_not_there_and_who_leaves_is_gone(clips: Sequence[Clip]) -> None:
    seen = set()
    for clip in clips:
        for event in clip.events:
            verb = event.action.split()[0]
            if verb in ("enters", "leaves") and event.subject is not None and not clip.film.camera.steps:
                seen.add(verb)
                edge = event.begin if verb == "enters" else event.end
                pose = clip.film.players[event.subject].track.at(edge - 0.01 if verb == "enters" else edge + 0.01)
                assert not pose.shown
                on_way = clip.picture((event.begin + event.end) / 2)
                still = clip.picture(event.begin - 0.01 if verb == "enters" else event.end + 0.01)
                changed = np.abs(np.asarray(on_way).astype(int) - np.asarray(still)).max(-1) > 40
                assert changed.sum() > 300
    assert seen == {"enters", "leaves"}


def test_the_same_clip_again(clips: Sequence[Clip]) -> None:
    again = make_clip(2, 3, "train", "objects/mixed")
    clip = clips[15]
    assert (again.id, again.caption, again.events) == (clip.id, clip.caption, clip.events)
    for seconds in uniform_times(clip.seconds, 3):
        assert again.picture(seconds).tobytes() == clip.picture(seconds).tobytes()


def test_captions_name_everybody(clips: Sequence[Clip]) -> None:
    for clip in clips:
        assert all(f" {who.name}" in clip.caption for who in clip.subjects)


def test_nobody_is_called_what_the_film_itself_is(clips: Sequence[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"camera", "wall"} <= cast_objects.SPOKEN_FOR
    common = max(clips[0].subjects[0].name, clips[1].subjects[0].name)
    monkeypatch.setattr(cast_objects, "SPOKEN_FOR", frozenset({common}))
    again = [make_clip(2, index, "train", "objects/simple") for index in range(12)]
    assert common not in {who.name for clip in again for who in clip.subjects}
    assert common in {who.name for clip in clips[:12] for who in clip.subjects}
