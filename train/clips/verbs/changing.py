"""Growing, shrinking and changing colour."""

import random
from dataclasses import replace

from magicvl.train.clips.stage import Act, Stage, Way
from magicvl.train.clips.verbs.choose import is_new, one_of
from magicvl.train.nano.scenes import COLOURS, too_close

_FACTOR = (1.6, 1.85)
"""Between the sizes before and after."""


def grow(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody becomes larger."""
    return _sized(rng, stage, "grows", "gets larger", rng.uniform(*_FACTOR))


def shrink(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """Somebody becomes smaller, but not too small to be known."""
    return _sized(rng, stage, "shrinks", "gets smaller", 1 / rng.uniform(*_FACTOR))


def _sized(rng: random.Random, stage: Stage, action: str, said: str, factor: float) -> tuple[Act, ...] | None:
    fits = [each for each in stage.free() if stage.poses[each].size * factor * stage.view.zoom >= stage.least]
    number = one_of(rng, fits)
    if number is None or not is_new(stage, number, action):
        return None
    pose = stage.poses[number]
    ways = (Way(number, replace(pose, size=pose.size * factor)),)
    return (Act("grow" if factor > 1 else "shrink", number, action, (said,), ways),)


def turn(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """A shape takes another colour; only one that its noun tells from all others, and each once."""
    fits = [each for each in stage.free() if stage.actors[each].paintable]
    number = one_of(rng, [each for each in fits if all(act.actor != each or act.colour is None for act in stage.done)])
    if number is None:
        return None
    taken = {actor.colour for actor in stage.actors} | {act.colour for act in stage.done}
    before = str(stage.actors[number].colour)
    colours = [
        each for each in stage.colours
        if each not in taken and each not in too_close(before) and before not in too_close(each)
    ]  # fmt: skip
    if not colours:
        return None
    colour = rng.choice(colours)
    ways = (Way(number, replace(stage.poses[number], colour=COLOURS[colour])),)
    return (Act("turn", number, f"turns {colour}", (f"becomes {colour}",), ways, colour=colour),)
