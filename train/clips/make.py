"""Makes clips: the same seed, index, split and style give the same clip on every machine."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from magicvl.errors import UsageError
from magicvl.train.clips.caption import action, clause, tell
from magicvl.train.clips.cast import Cast, Wish
from magicvl.train.clips.cast_objects import cast_objects
from magicvl.train.clips.cast_shapes import cast_shapes
from magicvl.train.clips.clip import Clip, Happening, Who
from magicvl.train.clips.film import Film, Player
from magicvl.train.clips.levels import LEVELS, Depth, Level
from magicvl.train.clips.motion import Pose, Step, Track, View
from magicvl.train.clips.script import Script, Timed, write_script
from magicvl.train.clips.stage import Act, Stage
from magicvl.train.generator.dataset import SPLITS, Split

Caster = Callable[[random.Random, Split, int, Wish], Cast]
LOOKS: Mapping[str, Caster] = {"shapes": cast_shapes, "objects": cast_objects}
STYLES = tuple(f"{look}/{level}" for look in LOOKS for level in LEVELS)
USUAL: Depth = "mixed"
_CAMERA = ("pan", "pan", "zoom_in", "zoom_out")
_SHARE = {"zoom_in": 0.5}
"""Of the frame's sides, where everyone begins: so that a camera that comes closer still sees them."""
_ABSENT = 0.3
"""Share of actors that are not there at the beginning."""
_PLACES = 40
"""Places that are tried for an actor."""


def make_clip(seed: int, index: int, split: Split, style: str) -> Clip:
    """The clip of that number: a function of these four alone.

    `style` is one of STYLES: `shapes` (nano's shapes, small frames) or `objects` (named drawings, larger frames),
    with the level behind a slash: `simple` (one actor, one or two events), `mixed` (one to three, two to four) or
    `rich` (two to four, three to six, perhaps a moving camera). Without a level `mixed` is meant.

    Raises UsageError for another style or split, SampleError where `objects` finds no drawings installed.
    """
    look, slash, level = style.partition("/")
    level = level if slash else USUAL
    if look not in LOOKS or level not in LEVELS:
        raise UsageError(f"style {style!r}: there are {', '.join(STYLES)}")
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: there are {', '.join(SPLITS)}")
    name = f"{look}/{level}/{split}/{seed}/{index}"
    rng = random.Random(f"clips {name}")
    return _clip(rng, name, _play(rng, split, LOOKS[look], LEVELS[cast("Depth", level)]))


@dataclass(frozen=True)
class _Play:
    """Who acts, where they begin and what they do."""

    cast: Cast
    poses: tuple[Pose, ...]
    script: Script


def _play(rng: random.Random, split: Split, choose: Caster, level: Level) -> _Play:
    """Casts and scripts are tried until one comes to something; what was wished for stays."""
    wish = _wish(rng, level)
    count = _count(rng, level, wish)
    while True:
        chosen = choose(rng, split, count, wish)
        stage = _staged(rng, chosen, level, _SHARE.get(wish.camera or "", 1.0))
        script = stage and write_script(rng, split, stage, level, wish.verbs)
        if stage and script:
            return _numbered(chosen, stage.poses, script)


def _wish(rng: random.Random, level: Level) -> Wish:
    rest = 1 - sum(level.together.values())
    verb = rng.choices((*level.together, None), (*level.together.values(), rest))[0]
    camera = rng.choice(_CAMERA) if rng.random() < level.camera else None
    return Wish(verb, camera, wall=verb == "hide" and rng.random() < level.walls)


def _count(rng: random.Random, level: Level, wish: Wish) -> int:
    """How many act: two where it takes two, and few enough to stay in the picture of a camera that moves."""
    count = rng.randint(*level.actors)
    if wish.camera is not None:
        return min(max(2, count), 3)
    return count if wish.verb is None or wish.wall else max(2, count)


def _staged(rng: random.Random, chosen: Cast, level: Level, share: float) -> Stage | None:
    """Everyone in a place of their own, in that share of the frame's sides; some have yet to enter."""
    stage = Stage(
        chosen.width, chosen.height, chosen.least, chosen.actors,
        tuple(Pose(0, 0, actor.size, 0, actor.rgb, shown=False) for actor in chosen.actors),
        View(chosen.width / 2, chosen.height / 2), chosen.colours,
    )  # fmt: skip
    absent = [number for number, actor in enumerate(chosen.actors) if not actor.wall and rng.random() < _ABSENT]
    for number in sorted(set(range(len(chosen.actors))) - set(absent), reverse=True):
        placed = _placed(rng, stage, number, share)
        if placed is None:
            return None
        stage = placed
    return stage if len(absent) <= level.events[0] else None


def _placed(rng: random.Random, stage: Stage, number: int, share: float) -> Stage | None:
    """The stage with one more, clear of all others."""
    for _ in range(_PLACES):
        pose = replace(
            stage.poses[number], shown=True,
            x=stage.width * rng.uniform(0.5 - share / 2, 0.5 + share / 2),
            y=stage.height * rng.uniform(0.5 - share / 2, 0.5 + share / 2),
            turn=0.0 if stage.actors[number].wall else rng.uniform(-8, 8),
        )  # fmt: skip
        poses = list(stage.poses)
        poses[number] = pose
        tried = replace(stage, poses=tuple(poses))
        if tried.roomy(number):
            return tried
    return None


def _numbered(chosen: Cast, poses: tuple[Pose, ...], script: Script) -> _Play:
    """The play with its actors in the order in which they appear, from left to right where that is at once."""
    enters = {act.actor: beat.begin for beat in script.beats for act in beat.acts if act.verb == "enter"}
    order = sorted(range(len(poses)), key=lambda n: (enters.get(n, 0.0), poses[n].x, poses[n].y))
    new = {old: number for number, old in enumerate(order)}
    beats = tuple(replace(beat, acts=tuple(_renumbered(act, new) for act in beat.acts)) for beat in script.beats)
    actors = tuple(chosen.actors[old] for old in order)
    return _Play(
        replace(chosen, actors=actors), tuple(poses[old] for old in order), replace(script, beats=beats)
    )  # fmt: skip


def _renumbered(act: Act, new: Mapping[int, int]) -> Act:
    return replace(
        act,
        actor=None if act.actor is None else new[act.actor],
        other=None if act.other is None else new[act.other],
        ways=tuple(replace(way, actor=new[way.actor]) for way in act.ways),
    )


def _clip(rng: random.Random, name: str, play: _Play) -> Clip:
    actors, beats = play.cast.actors, play.script.beats
    shown = [number for number, pose in enumerate(play.poses) if pose.shown]
    return Clip(
        id=name,
        width=play.cast.width,
        height=play.cast.height,
        seconds=play.script.seconds,
        subjects=tuple(Who(actor.noun, actor.attributes) for actor in actors),
        events=tuple(_happenings(play)),
        caption=tell(rng, actors, beats, shown),
        film=_film(play),
    )


def _happenings(play: _Play) -> list[Happening]:
    actors, turned = play.cast.actors, frozenset[int]()
    found = []
    for beat in play.script.beats:
        for act in beat.acts:
            returned = None
            if act.returned is not None:
                returned = action(actors, replace(act, action=act.returned, other=act.actor), turned)
            found.append(
                Happening(
                    clause(actors, act, turned), beat.begin, beat.end, act.actor, action(actors, act, turned),
                    act.other, returned,
                )
            )  # fmt: skip
        turned |= {act.actor for act in beat.acts if act.colour is not None and act.actor is not None}
    return found


def _film(play: _Play) -> Film:
    tracks = [Track(pose) for pose in play.poses]
    camera = Track(View(play.cast.width / 2, play.cast.height / 2))
    for beat in play.script.beats:
        camera = _filmed(camera, beat)
        for way in (way for act in beat.acts for way in act.ways):
            track = tracks[way.actor]
            start = way.start or track.last
            tracks[way.actor] = track.then(Step(beat.begin, beat.end, start, way.target, way.rise))
    hidden = [act.actor for beat in play.script.beats for act in beat.acts if act.verb == "hide"]
    depth = sorted(range(len(tracks)), key=lambda number: (number not in hidden, number))
    players = tuple(Player(actor.look, track) for actor, track in zip(play.cast.actors, tracks, strict=True))
    return Film(play.cast.width, play.cast.height, play.cast.ground, players, tuple(depth), camera, play.cast.over)


def _filmed(camera: Track[View], beat: Timed) -> Track[View]:
    view = next((act.view for act in beat.acts if act.view is not None), None)
    return camera.then(Step(beat.begin, beat.end, camera.last, view)) if view else camera
