"""Hiding behind another or a wall, and coming out again."""

import random
from collections.abc import Iterator
from dataclasses import replace

from magicvl.train.clips.motion import Pose, apart
from magicvl.train.clips.stage import Act, Heading, Stage, Way
from magicvl.train.clips.verbs.choose import LEAST_WAY, goes_on, one_of, room, shifted

_MARGIN = 1.03


def hide(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody goes behind something that covers all of it; once in a film."""
    pairs = list(_pairs(stage))
    if not pairs or any(act.verb == "hide" for act in stage.done):
        return None
    number, other = rng.choice(pairs)
    pose, cover = stage.poses[number], stage.poses[other]
    target = replace(pose, x=cover.x, y=pose.y if stage.actors[other].wall else cover.y)
    far = apart(pose, target)
    heading = _heading(pose, target)
    if stage.gap(number, pose, other, cover) < 0.6 * stage.least or far < LEAST_WAY * stage.least:
        return None
    if goes_on(stage, number, heading):
        return None
    ways = (Way(number, target),)
    return (
        Act("hide", number, "hides behind {other}", ("goes behind {other}",), ways, other, heading=heading,
            length=(1.2, 1.7)),
    )  # fmt: skip


def appear(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody who was hidden comes out to the left or right."""
    number = one_of(rng, sorted(stage.behind))
    if number is None:
        return None
    other = stage.behind[number]
    pose, cover = stage.poses[number], stage.poses[other]
    heading: Heading = rng.choice(("left", "right"))
    half = cover.size * stage.actors[other].wide if stage.actors[other].wall else stage.radius(other)
    least = half + stage.radius(number) + 0.6 * stage.least
    most = room(stage, pose, stage.radius(number), heading) - 1
    if most < least:
        return None
    ways = (Way(number, shifted(pose, heading, rng.uniform(least, most))),)
    return (
        Act("appear", number, "comes out from behind {other}", ("appears from behind {other}",), ways, other,
            heading=heading),
    )  # fmt: skip


def _pairs(stage: Stage) -> Iterator[tuple[int, int]]:
    """Who can hide behind whom."""
    for other in stage.seen():
        actor, pose = stage.actors[other], stage.poses[other]
        for number in stage.free():
            radius = _MARGIN * stage.radius(number)
            if number == other or other in stage.behind.values():
                continue
            if not actor.wall and radius <= actor.cover * pose.size:
                yield number, other
            if actor.wall and radius <= pose.size * actor.wide and abs(stage.poses[number].y - pose.y) <= (
                pose.size - radius
            ):  # fmt: skip
                yield number, other


def _heading(pose: Pose, target: Pose) -> Heading:
    dx, dy = target.x - pose.x, target.y - pose.y
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"
