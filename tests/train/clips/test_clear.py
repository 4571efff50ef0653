"""No clip is ambiguous: names, colours, times, and what is kept for testing."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import MOST_ACTIONS, MOST_SUBJECTS, MOST_WORDS_CHARACTERS, read, write
from magicvl.errors import SampleError, UsageError
from magicvl.train.clips import held_out
from magicvl.train.clips.clip import Clip, Happening, Who
from magicvl.train.clips.ground import Textured
from magicvl.train.clips.levels import LEVELS
from magicvl.train.clips.make import STYLES, make_clip
from magicvl.train.nano.scenes import COLOURS, HELD_OUT_BACKGROUNDS, SHAPES, too_close

LEAST_SECONDS = 0.99


def verb(event: Happening) -> str:
    return event.action.split()[0]


def colour(who: Who) -> str:
    return who.attributes[-1]


def check(clip: Clip) -> None:
    check_times(clip)
    check_names(clip)
    check_actions(clip)


def check_times(clip: Clip) -> None:
    assert 3 <= clip.seconds <= 8
    assert [event.begin for event in clip.events] == sorted(event.begin for event in clip.events)
    frames = uniform_times(clip.seconds, 8)
    for event in clip.events:
        assert event.begin > 0.3 and event.end < clip.seconds - 0.3 and event.end - event.begin >= LEAST_SECONDS
        assert any(event.begin <= seconds <= event.end for seconds in frames), f"{clip.id}: {event}"
    for one, other in pairwise(clip.events):
        # Two at once are two who do it, from the same moment to the same moment.
        assert other.begin > one.end or (other.begin, other.end) == (one.begin, one.end)
        assert other.begin > one.end or other.subject != one.subject


def check_names(clip: Clip) -> None:
    shapes = [(who.name, colour(who)) for who in clip.subjects]
    assert len(set(shapes)) == len(shapes)
    for (kind, one), (other_kind, other) in combinations(shapes, 2):
        if kind == other_kind:
            assert one not in too_close(other) and other not in too_close(one)
    kinds = {kind for kind, _ in shapes}
    assert not {"square", "diamond"} <= kinds
    assert kinds <= {*SHAPES, "wall"}
    ground = clip.film.ground
    assert isinstance(ground, Textured)
    for player in clip.film.players:
        for pose in (player.track.first, player.track.last):
            assert math.dist(pose.colour, ground.first) > 60


def check_actions(clip: Clip) -> None:
    for number, who in enumerate(clip.subjects):
        own = [event for event in clip.events if event.subject == number]
        assert len({event.action for event in own}) == len(own) <= MOST_ACTIONS
        assert not (who.name in ("circle", "ring") and "spins" in map(verb, own))
        assert not (who.name == "wall" and own)
        turned = [event for event in own if verb(event) == "turns"]
        assert len(turned) <= 1
        if turned:
            assert sum(each.name == who.name for each in clip.subjects) == 1
            taken = [colour(each) for each in clip.subjects]
            taken += [each.action.split()[1] for each in clip.events if verb(each) == "turns" and each is not turned[0]]
            assert turned[0].action.split()[1] not in taken
    for event in clip.events:
        name = f"the {clip.subjects[event.subject].name} " if event.subject is not None else "the camera "
        full = f"the {colour(clip.subjects[event.subject])} {name[4:]}" if event.subject is not None else name
        assert event.text.startswith((name, full)) and event.text.endswith(event.action)
        assert not event.text.endswith(".") and len(event.action) <= MOST_WORDS_CHARACTERS


def test_nothing_is_ambiguous(many: Sequence[Clip]) -> None:
    for clip in many:
        check(clip)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation", "test", "style"])
@pytest.mark.parametrize("style", ["shapes/simple", "shapes/mixed", "shapes/rich"])
def test_nothing_is_ambiguous_in_thousands(style: str, split: str) -> None:
    for index in range(1000):
        check(make_clip(23, index, split, style))  # type: ignore[arg-type]


def test_levels_are_what_they_say(many: Sequence[Clip]) -> None:
    for clip in many:
        level = LEVELS[clip.id.split("/")[1]]  # type: ignore[index]
        actors = sum(who.name != "wall" for who in clip.subjects)
        assert level.actors[0] <= actors <= level.actors[1]
        assert level.events[0] <= len(clip.events) <= level.events[1]
        assert level.camera or all(event.subject is not None for event in clip.events)


def test_subjects_stand_in_the_order_in_which_they_appear(many: Sequence[Clip]) -> None:
    for clip in many:
        tracks = [player.track for player in clip.film.players]
        comes = [(track.steps[0].begin, 0.0) if not track.first.shown else (0.0, track.first.x) for track in tracks]
        assert [seconds for seconds, _ in comes] == sorted(seconds for seconds, _ in comes)
        there = [x for seconds, x in comes if seconds == 0]
        assert there == sorted(there)


def test_a_description_can_be_written_and_read_back(many: Sequence[Clip]) -> None:
    for clip in many:
        times = uniform_times(clip.seconds, 8)
        description = clip.description(times)
        plain = replace(description, subjects=tuple(replace(each, track=()) for each in description.subjects))
        assert read(write(description), times) == plain
        tracked = read(write(description, times, tracks=True), times, tracks=True)
        for subject, true in zip(tracked.subjects, description.subjects, strict=True):
            assert [(each.time, each.look) for each in subject.track] == [(each.time, each.look) for each in true.track]
        assert len(description.subjects) == len(clip.subjects) <= MOST_SUBJECTS
        done = sum(len(subject.actions) for subject in description.subjects)
        mutual = sum(event.returned is not None for event in clip.events)
        camera = sum(event.subject is None for event in clip.events)
        assert done == len(clip.events) + mutual - camera
        reference = clip.reference(times)
        assert reference.events == tuple(event.text for event in clip.events)
        assert (reference.caption, reference.subjects) == (clip.caption, description.subjects)


def test_an_action_between_two_frames_takes_the_nearest() -> None:
    clip = make_clip(0, 0, "train", "shapes/simple")
    event = clip.events[0]
    times = (0.0, event.end + 0.1, clip.seconds)
    assert clip.description(times).subjects[0].actions[0].times == (event.end + 0.1,)
    during = (event.begin, (event.begin + event.end) / 2, event.end)
    assert clip.description((0.0, *during, clip.seconds)).subjects[0].actions[0].times == during


def looks(clip: Clip) -> set[tuple[str, str]]:
    kinds = {number: who.name for number, who in enumerate(clip.subjects) if who.name != "wall"}
    turned = {
        (kinds[event.subject], event.action.split()[1])
        for event in clip.events if verb(event) == "turns" and event.subject is not None
    }  # fmt: skip
    return turned | {(who.name, colour(who)) for who in clip.subjects if who.name != "wall"}


RULES = {"moves": "move", "jumps": "jump", "spins": "spin", "grows": "grow", "shrinks": "shrink", "turns": "turn"}


def pairs(clip: Clip) -> set[tuple[str, str]]:
    found = set()
    for number in range(len(clip.subjects)):
        own = [RULES.get(verb(event), "") for event in clip.events if event.subject == number]
        found |= set(pairwise(own))
    return found


def test_what_is_held_out_is_in_no_training_clip(many: Sequence[Clip]) -> None:
    for clip in many:
        if "/test/" not in clip.id:
            assert not looks(clip) & held_out.LOOKS and not pairs(clip) & held_out.PAIRS
    tests = [make_clip(1, index, "test", "shapes/mixed") for index in range(120)]
    assert len(set().union(*map(looks, tests)) & held_out.LOOKS) >= 6
    assert len(set().union(*map(pairs, tests)) & held_out.PAIRS) >= 3
    assert {kind for kind, _ in held_out.LOOKS} == set(SHAPES)
    assert {each for _, each in held_out.LOOKS} <= set(COLOURS)


def test_tested_grounds_are_their_own(many: Sequence[Clip]) -> None:
    for clip in many:
        assert isinstance(clip.film.ground, Textured)
        assert (clip.film.ground.texture in HELD_OUT_BACKGROUNDS) == ("/test/" in clip.id)


@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), style=st.sampled_from(STYLES[:2]))
@settings(max_examples=15, deadline=None)
def test_the_same_numbers_give_the_same_clip(seed: int, index: int, style: str) -> None:
    one, other = (make_clip(seed, index, "train", style) for _ in range(2))
    assert (one.id, one.subjects, one.events, one.caption) == (other.id, other.subjects, other.events, other.caption)
    assert one.picture(1.5).tobytes() == other.picture(1.5).tobytes() == one.picture(1.5).tobytes()
    check(one)


def test_a_clip_stays_what_it_was() -> None:
    # Whoever changes this changes what models were trained on: say so in the changelog.
    clip = make_clip(0, 0, "train", "shapes/mixed")
    assert clip.caption == (
        "A yellow circle gets smaller and then moves left. A purple diamond comes in from the bottom."
    )
    assert (clip.width, clip.height, clip.seconds) == (128, 160, 5.4)
    assert clip.picture(0.0).getpixel((1, 1)) == (116, 76, 38)


def test_splits_share_no_clip() -> None:
    films = {
        (split, index): make_clip(0, index, split, "shapes/simple").picture(1.0).tobytes()  # type: ignore[arg-type]
        for split in ("train", "validation", "test", "style") for index in range(30)
    }  # fmt: skip
    assert len(set(films.values())) == len(films)


@pytest.mark.parametrize("style", ["shape", "shapes/easy", "shapes/", "shapes/mixed/x", ""])
def test_a_style_that_is_none_is_refused(style: str) -> None:
    with pytest.raises(UsageError, match="there are shapes/simple"):
        make_clip(0, 0, "train", style)


def test_a_split_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="there are train"):
        make_clip(0, 0, "other", "shapes")  # type: ignore[arg-type]


def test_objects_without_drawings_are_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path_factory.mktemp("none")))
    with pytest.raises(SampleError, match="magicvl train assets"):
        make_clip(0, 0, "train", "objects/mixed")
