"""Meeting and following."""

import math
import random
from dataclasses import replace
from itertools import permutations

from magicvl.train.clips.motion import apart
from magicvl.train.clips.stage import WAYS, Act, Heading, Stage, Way
from magicvl.train.clips.verbs.choose import HEADINGS, goes_on, is_new, shifted, way_through

_TOUCH = 1.5
"""Px between two that have met."""
_LEAST_APPROACH = 2.4
"""Px that two come closer when they meet, by the least size."""
_BEHIND = (1.15, 2.6)
"""How far a follower is behind, by what would be touching."""
_LENGTH = (1.3, 1.9)


def meet(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Two come towards each other until they nearly touch."""
    pair = _pair(rng, stage)
    if pair is None:
        return None
    one, other = pair
    first, second = stage.poses[one], stage.poses[other]
    far = apart(first, second)
    x, y = (second.x - first.x) / far, (second.y - first.y) / far
    near = _TOUCH + stage.extent(one, x, y) + stage.extent(other, -x, -y)
    if far - near < _LEAST_APPROACH * stage.least or not is_new(stage, one, "meets {other}"):
        return None
    dx, dy = x * (far - near) / 2, y * (far - near) / 2
    ways = (
        Way(one, replace(first, x=first.x + dx, y=first.y + dy)),
        Way(other, replace(second, x=second.x - dx, y=second.y - dy)),
    )
    heading: Heading = ("right" if dx > 0 else "left") if abs(dx) > abs(dy) else "down" if dy > 0 else "up"
    return (
        Act("meet", one, "meets {other}", ("comes together with {other}",), ways, other, "meets {other}", heading),
    )  # fmt: skip


def follow(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """One moves and another comes after it."""
    chances = [
        (leader, follower, heading)
        for leader, follower in permutations(stage.free(), 2) for heading in HEADINGS
        if _is_behind(stage, follower, leader, heading) and not goes_on(stage, leader, heading)
        and not goes_on(stage, follower, heading) and is_new(stage, leader, f"moves {heading}")
    ]  # fmt: skip
    if not chances:
        return None
    leader, follower, heading = rng.choice(chances)
    way = way_through(rng, stage, leader, heading)
    if way is None:
        return None
    end = shifted(stage.poses[leader], heading, way)
    place = shifted(end, heading, -_touching(stage, leader, follower) * rng.uniform(_BEHIND[0], 1.4))
    behind = replace(stage.poses[follower], x=place.x, y=place.y)
    if apart(stage.poses[follower], behind) < 0.6 * way:
        return None
    return (
        Act("move", leader, f"moves {heading}", (f"goes {heading}",), (Way(leader, end),), heading=heading,
            length=_LENGTH),
        Act("follow", follower, "follows {other}", ("goes after {other}",), (Way(follower, behind),), leader,
            heading=heading, length=_LENGTH),
    )  # fmt: skip


def _pair(rng: random.Random, stage: Stage) -> tuple[int, int] | None:
    free = stage.free()
    if len(free) < 2:
        return None
    one, other = rng.sample(free, 2)
    return one, other


def _touching(stage: Stage, one: int, other: int) -> float:
    """Px between the middles of two that touch, whichever way they are turned."""
    return stage.radius(one) + stage.radius(other)


def _is_behind(stage: Stage, follower: int, leader: int, heading: Heading) -> bool:
    """Whether the follower stands after the leader on its way, nearly in line."""
    x, y = WAYS[heading]
    dx = stage.poses[leader].x - stage.poses[follower].x
    dy = stage.poses[leader].y - stage.poses[follower].y
    along, aside = dx * x + dy * y, abs(dx * y) + abs(dy * x)
    touching = _touching(stage, leader, follower)
    near, far = _BEHIND
    return near * touching <= math.hypot(along, aside) <= far * touching and aside <= 0.5 * along
