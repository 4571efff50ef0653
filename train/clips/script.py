"""What happens in a film: events one after another, some two at once, each where it can be seen clearly."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.train.clips import held_out
from magicvl.train.clips.levels import Level
from magicvl.train.clips.stage import Act, Stage
from magicvl.train.clips.verbs import ALONE, RULES
from magicvl.train.generator.dataset import Split

MOST_SECONDS = 8.0
LEAST_SECONDS = 3.0
_TRIES = 10
"""Proposals of one rule, before another is asked ..."""
_RULES = 20
"""... and rules, before the film is given up."""
_TICKS = 20
"""Events begin and end at whole parts of a second."""

Beat = tuple[Act, ...]
"""What happens at one time."""


@dataclass(frozen=True)
class Timed:
    """Acts with their time, in seconds."""

    acts: Beat
    begin: float
    end: float


@dataclass(frozen=True)
class Script:
    """A whole film's events."""

    beats: tuple[Timed, ...]
    seconds: float


def write_script(rng: random.Random, split: Split, stage: Stage, level: Level, wishes: frozenset[str]) -> Script | None:
    """Events for the actors of a stage, by all of the wished rules and others.

    None where they came to nothing, and another stage is to be tried.
    """
    count = rng.randint(*level.events)
    beats: list[Beat] = []
    while len(stage.done) < count:
        beat = _beat(rng, split, stage, level, count - len(stage.done), wishes)
        if beat is None:
            return None
        beats.append(beat)
        stage = stage.after(beat)
    if stage.waiting() or _idle(stage) > 1 or wishes - _verbs(stage):
        return None
    return _timed(rng, beats)


def _verbs(stage: Stage) -> set[str]:
    return {act.verb for act in stage.done}


def _beat(
    rng: random.Random, split: Split, stage: Stage, level: Level, remaining: int, wishes: frozenset[str]
) -> Beat | None:
    """The next thing that happens."""
    failed: set[tuple[str, ...]] = set()
    for _ in range(_RULES):
        names = _names(rng, stage, level, remaining, wishes)
        if names in failed:
            continue
        for _ in range(_TRIES):
            beat = _proposed(rng, stage, names)
            if beat is None:
                continue
            if len(beat) <= remaining and _allowed(split, stage, beat) and stage.clear(beat):
                return beat
        failed.add(names)
    return None


def _names(rng: random.Random, stage: Stage, level: Level, remaining: int, wishes: frozenset[str]) -> tuple[str, ...]:
    """The rules that the next beat is made by: one, or two of actors who act at once."""
    waiting = len(stage.waiting())
    due = sorted(wishes - _verbs(stage))
    # Of two that follow each other, one moves.
    needed = len(due) + ("follow" in due)
    if waiting and waiting + needed >= remaining:
        return ("enter",)
    if due and (needed >= remaining or rng.random() < 0.5):
        return (rng.choice(due),)
    names = tuple(rng.choices(list(level.verbs), list(level.verbs.values()), k=2))
    if remaining - needed >= 2 and rng.random() < level.at_once and set(names) <= set(ALONE):
        return names
    return names[:1]


def _proposed(rng: random.Random, stage: Stage, names: Sequence[str]) -> Beat | None:
    acts: list[Act] = []
    for name in names:
        made = RULES[name](rng, stage)
        if made is None:
            return None
        acts += made
    return tuple(acts)


def _allowed(split: Split, stage: Stage, beat: Beat) -> bool:
    """Two at once are two actors who don't go the same way; and nothing that is held out."""
    if len({act.actor for act in beat}) < len(beat):
        return False
    headings = [act.heading for act in beat if act.heading]
    following = any(act.verb == "follow" for act in beat)
    if len(set(headings)) < len(headings) and not following:
        return False
    if len({act.action for act in beat}) < len(beat):
        return False
    return all(_pair_allowed(split, stage, act) and _look_allowed(split, stage, act) for act in beat)


def _pair_allowed(split: Split, stage: Stage, act: Act) -> bool:
    last = stage.last_of(act.actor) if act.actor is not None else None
    return last is None or held_out.may_pair(split, last.verb, act.verb)


def _look_allowed(split: Split, stage: Stage, act: Act) -> bool:
    if act.colour is None or act.actor is None:
        return True
    return held_out.may_show(split, stage.actors[act.actor].noun, act.colour)


def _idle(stage: Stage) -> int:
    """How many never do anything, walls not counted."""
    busy = {number for act in stage.done for number in act.actors}
    return sum(number not in busy and not actor.wall for number, actor in enumerate(stage.actors))


def _timed(rng: random.Random, beats: Sequence[Beat]) -> Script | None:
    """Gives every beat its time; many are told faster."""
    pace = rng.random() if len(beats) <= 3 else 0.35 * rng.random()
    clock = rng.uniform(0.4, 0.7)
    timed: list[Timed] = []
    for beat in beats:
        least = max(act.length[0] for act in beat)
        most = max(least, min(act.length[1] for act in beat))
        begin = _tick(clock)
        end = _tick(begin + least + (most - least) * pace * rng.random())
        timed.append(Timed(beat, begin, end))
        clock = end + rng.uniform(0.15, 0.25 + 0.25 * pace)
    seconds = timed[-1].end + rng.uniform(0.4, 0.7)
    seconds = round(max(seconds, LEAST_SECONDS + rng.uniform(0, 0.5)), 1)
    return Script(tuple(timed), seconds) if seconds <= MOST_SECONDS else None


def _tick(seconds: float) -> float:
    return round(seconds * _TICKS) / _TICKS
