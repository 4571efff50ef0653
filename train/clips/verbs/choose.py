"""Who does something, and which way."""

import random
from collections.abc import Sequence
from dataclasses import replace

from magicvl.train.clips.motion import Pose
from magicvl.train.clips.stage import WAYS, Heading, Stage

LEAST_WAY = 2.0
"""Px that are told from standing still, by the least size of an actor."""
HEADINGS = tuple(WAYS)


def one_of(rng: random.Random, numbers: Sequence[int]) -> int | None:
    """Any of them; None where there is none."""
    return rng.choice(numbers) if numbers else None


def is_new(stage: Stage, number: int, action: str) -> bool:
    """Whether an actor has not done this before."""
    return all(act.actor != number or act.action != action for act in stage.done)


def shifted(pose: Pose, heading: Heading, way: float) -> Pose:
    """The pose so many px further."""
    x, y = WAYS[heading]
    return replace(pose, x=pose.x + x * way, y=pose.y + y * way)


def room(stage: Stage, pose: Pose, radius: float, heading: Heading) -> float:
    """Px from a body to the edge that it heads for."""
    left, top, right, bottom = stage.box
    ends = {"left": pose.x - left, "right": right - pose.x, "up": pose.y - top, "down": bottom - pose.y}
    return ends[heading] - radius


def way_through(rng: random.Random, stage: Stage, number: int, heading: Heading) -> float | None:
    """How many px an actor goes: clearly more than nothing, and not over the edge; None where there is no room."""
    left, top, right, bottom = stage.box
    side = right - left if heading in ("left", "right") else bottom - top
    least = max(LEAST_WAY * stage.least, 0.3 * side)
    most = min(room(stage, stage.poses[number], stage.radius(number), heading) - 1, 0.75 * side)
    return rng.uniform(least, most) if most >= least else None


def goes_on(stage: Stage, number: int, heading: Heading) -> bool:
    """Whether an actor went the same way just before: nobody could say where one event ends."""
    last = stage.last_of(number)
    return last is not None and last.heading == heading
