"""Entering and leaving."""

import random
from collections.abc import Mapping
from dataclasses import replace

from magicvl.train.clips.motion import Pose
from magicvl.train.clips.stage import Act, Heading, Stage, Way
from magicvl.train.clips.verbs.choose import HEADINGS, LEAST_WAY, goes_on, one_of, room, shifted

_FROM: Mapping[Heading, str] = {"right": "left", "left": "right", "down": "top", "up": "bottom"}
"""The edge that one who enters heads away from."""
_LENGTH = (1.1, 1.7)


def enter(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody who was not there comes in over an edge."""
    number = one_of(rng, stage.waiting())
    if number is None:
        return None
    heading = rng.choice(HEADINGS)
    start = _outside(rng, stage, number, heading)
    left, top, right, bottom = stage.box
    side = right - left if heading in ("left", "right") else bottom - top
    radius = stage.radius(number)
    least = max(2 * radius + 2, LEAST_WAY * stage.least)
    if (most := min(side - 2, max(least, 0.8 * side))) < least:
        return None
    edge = _FROM[heading]
    target = replace(shifted(start, heading, rng.uniform(least, most)), shown=True)
    said = (f"comes in from the {edge}",)
    ways = (Way(number, target, start),)
    return (Act("enter", number, f"enters from the {edge}", said, ways, heading=heading, length=_LENGTH),)


def leave(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody goes out over an edge and does not come back."""
    number = one_of(rng, stage.free())
    heading = rng.choice(HEADINGS)
    if number is None or goes_on(stage, number, heading) or stage.last_of(number) is _entering(stage, number):
        return None
    pose, radius = stage.poses[number], stage.radius(number)
    target = replace(shifted(pose, heading, room(stage, pose, -radius, heading)), shown=False)
    edge = f"to the {heading}" if heading in ("left", "right") else f"at the {'top' if heading == 'up' else 'bottom'}"
    ways = (Way(number, target),)
    return (Act("leave", number, f"leaves {edge}", (f"goes out {edge}",), ways, heading=heading, length=_LENGTH),)


def _outside(rng: random.Random, stage: Stage, number: int, heading: Heading) -> Pose:
    """Just beyond the edge that an actor comes from."""
    left, top, right, bottom = stage.box
    pose, radius = stage.poses[number], stage.radius(number)
    x, y = rng.uniform(left + radius, right - radius), rng.uniform(top + radius, bottom - radius)
    places = {"right": (left - radius, y), "left": (right + radius, y), "down": (x, top - radius)}
    x, y = places.get(heading, (x, bottom + radius))
    return replace(pose, x=x, y=y, shown=True)


def _entering(stage: Stage, number: int) -> Act | None:
    """An actor's last act, where it was to enter: who leaves at once is hardly seen."""
    last = stage.last_of(number)
    return last if last is not None and last.verb == "enter" else None
