"""Moving, jumping and spinning."""

import random
from dataclasses import replace

from magicvl.train.clips.stage import Act, Stage, Way
from magicvl.train.clips.verbs.choose import HEADINGS, goes_on, is_new, one_of, room, shifted, way_through

_RISE = (1.3, 2.2)
"""How high a jump is, by the actor's size ..."""
_LEAST_RISE = 1.3
"""... and at least, by the least size."""


def move(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody moves left, right, up or down."""
    number = one_of(rng, stage.free())
    heading = rng.choice(HEADINGS)
    action = f"moves {heading}"
    if number is None or goes_on(stage, number, heading) or not is_new(stage, number, action):
        return None
    way = way_through(rng, stage, number, heading)
    if way is None:
        return None
    said = (f"goes {heading}",) if heading in ("up", "down") else (f"moves to the {heading}", f"goes {heading}")
    ways = (Way(number, shifted(stage.poses[number], heading, way)),)
    return (Act("move", number, action, said, ways, heading=heading, length=(1.0, 1.6)),)


def jump(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody jumps and lands where it was."""
    number = one_of(rng, stage.free())
    if number is None or not is_new(stage, number, "jumps"):
        return None
    pose = stage.poses[number]
    rise = min(rng.uniform(*_RISE) * pose.size, room(stage, pose, stage.radius(number), "up") - 1)
    if rise < max(_LEAST_RISE * stage.least, pose.size):
        return None
    return (Act("jump", number, "jumps", ("jumps up",), (Way(number, pose, rise=rise),), length=(1.0, 1.2)),)


def spin(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody turns once around itself."""
    number = one_of(rng, [each for each in stage.free() if stage.actors[each].spins and stage.can_turn(each)])
    if number is None or not is_new(stage, number, "spins"):
        return None
    pose = stage.poses[number]
    target = replace(pose, turn=pose.turn + rng.choice((-360, 360)))
    # At four frames a second it turns by less than 60 degrees a frame: a star or a square is never seen as it was.
    return (Act("spin", number, "spins", ("spins around",), (Way(number, target),), length=(1.6, 2.0)),)
