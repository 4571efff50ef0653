"""Where everyone stands between two events, and whether an event can be seen as what it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

from magicvl.train.clips.actors import Actor
from magicvl.train.clips.motion import Pose, Step, View

Heading = Literal["left", "right", "up", "down"]
WAYS: Mapping[Heading, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_MOMENTS = (1.0, 0.5, 0.25, 0.75, 0.1, 0.9, 0.4, 0.6, 0.0)
"""Shares of an event at which it is looked at: the end first, where most goes wrong."""
_LITTLE = 1e-6
_CLEAR = 0.4
"""Gap between two that have not met, as a share of the least size."""


@dataclass(frozen=True)
class Way:
    """What one body does during an event."""

    actor: int
    target: Pose
    start: Pose | None = None
    """None for where it stands."""
    rise: float = 0.0
    """Px that it is lifted halfway."""


@dataclass(frozen=True)
class Act:
    """An event before it has its time."""

    verb: str
    """Which rule made it: move, jump, ..."""
    actor: int | None
    """None for the camera."""
    action: str
    """`moves left`; `{other}` stands for the other one."""
    said: tuple[str, ...] = ()
    """The same in other words."""
    ways: tuple[Way, ...] = ()
    other: int | None = None
    returned: str | None = None
    """What the other one does, where that is part of the event."""
    heading: Heading | None = None
    colour: str | None = None
    """What colour its actor turns."""
    view: View | None = None
    """Where the camera ends."""
    length: tuple[float, float] = (1.0, 1.5)
    """Least and most seconds that it takes."""

    @property
    def actors(self) -> tuple[int, ...]:
        """All that take part, the other one too where it only stands there."""
        return tuple(each for each in (self.actor, self.other) if each is not None)


@dataclass(frozen=True)
class Stage:
    """A moment between two events."""

    width: int
    """Px of a frame."""
    height: int
    least: float
    """Least size of an actor in px."""
    actors: tuple[Actor, ...]
    poses: tuple[Pose, ...]
    view: View
    colours: tuple[str, ...] = ()
    """What shapes may turn into, as names."""
    left: frozenset[int] = frozenset()
    """Those who have gone for good."""
    behind: Mapping[int, int] = field(default_factory=dict)
    """Who is hidden, and behind whom."""
    done: tuple[Act, ...] = ()

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What the camera sees of the world: left, top, right, bottom in px."""
        return box_of(self.view, self.width, self.height)

    def waiting(self) -> list[int]:
        """Those who have yet to enter."""
        return [number for number, pose in enumerate(self.poses) if not pose.shown and number not in self.left]

    def seen(self) -> list[int]:
        """Everyone in plain view, walls too."""
        return [number for number, pose in enumerate(self.poses) if pose.shown and number not in self.behind]

    def free(self) -> list[int]:
        """Those who may act: in plain view, with nobody hidden behind them."""
        return [
            each for each in self.seen() if each not in self.behind.values() and not self.actors[each].wall
        ]  # fmt: skip

    def radius(self, number: int, pose: Pose | None = None) -> float:
        """Px around an actor's middle that it may take up."""
        return self.actors[number].reach * (pose or self.poses[number]).size

    def extent(self, number: int, x: float, y: float) -> float:
        """Px from an actor's middle to its end in a direction of length 1, as it stands."""
        pose = self.poses[number]
        return self.actors[number].extent(pose.size, pose.turn, x, y)

    def can_turn(self, number: int) -> bool:
        """Whether one touches nobody however it is turned."""
        pose = self.poses[number]
        return all(
            self.gap(number, pose, each, self.poses[each]) >= 0 for each in self.seen() if each != number
        )  # fmt: skip

    def last_of(self, number: int) -> Act | None:
        """What an actor did last of its own."""
        return next((act for act in reversed(self.done) if act.actor == number), None)

    def after(self, acts: Sequence[Act]) -> "Stage":
        """The stage when some acts are done."""
        poses, left, behind, view = list(self.poses), self.left, dict(self.behind), self.view
        for act in acts:
            for way in act.ways:
                poses[way.actor] = way.target
            if act.verb == "leave" and act.actor is not None:
                left |= {act.actor}
            if act.verb == "hide" and act.actor is not None and act.other is not None:
                behind[act.actor] = act.other
            if act.verb == "appear" and act.actor is not None:
                del behind[act.actor]
            view = act.view or view
        done = (*self.done, *acts)
        return replace(self, poses=tuple(poses), left=left, behind=behind, view=view, done=done)

    def clear(self, acts: Sequence[Act]) -> bool:
        """Whether acts at the same time are seen clearly: nobody covers another or is cut off by the edge."""
        ways = {way.actor: way for act in acts for way in act.ways}
        together = _together(self.behind, acts)
        crossing = {act.actor for act in acts if act.verb in ("enter", "leave")}
        target = next((act.view for act in acts if act.view), None)
        for moment in _MOMENTS:
            moving = {number: self._on_way(way, moment) for number, way in ways.items()}
            if not self._apart(moving, together):
                return False
            view = self.view.towards(target, moment) if target else self.view
            bodies = self._all(moving) if target else moving
            if not all(self._inside(number, pose, view) for number, pose in bodies.items() if number not in crossing):
                return False
        return self._no_chance_meeting(ways, together | _joined(acts))

    def roomy(self, number: int) -> bool:
        """Whether one stands well within the picture and away from all others, as if it had not met them."""
        pose = self.poses[number]
        if not self._inside(number, pose, self.view):
            return False
        others = (each for each in self.seen() if each != number)
        return all(self.gap(number, pose, each, self.poses[each]) >= _CLEAR * self.least for each in others)

    def gap(self, one: int, pose: Pose, other: int, standing: Pose) -> float:
        """Px between two bodies."""
        if self.actors[one].wall:
            return self.gap(other, standing, one, pose)
        beside, beyond = abs(pose.x - standing.x), abs(pose.y - standing.y)
        radius = self.radius(one, pose)
        wall = self.actors[other]
        if wall.wall:
            beside, beyond = max(0.0, beside - standing.size * wall.wide), max(0.0, beyond - standing.size)
            return math.hypot(beside, beyond) - radius
        return math.hypot(beside, beyond) - radius - self.radius(other, standing)

    def _on_way(self, way: Way, moment: float) -> Pose:
        return Step(0.0, 1.0, way.start or self.poses[way.actor], way.target, way.rise).at(moment)

    def _all(self, moving: Mapping[int, Pose]) -> dict[int, Pose]:
        """Where everybody is while some move; nobody else moves."""
        return {number: pose for number, pose in enumerate(self.poses) if pose.shown} | dict(moving)

    def _apart(self, moving: Mapping[int, Pose], together: set[frozenset[int]]) -> bool:
        """Whether none of those who move covers another; who have met may stay as close as they are."""
        everybody = self._all(moving)
        return all(
            (gap := self.gap(one, pose, other, standing)) >= 0
            or (self.poses[one].shown and gap >= self.gap(one, self.poses[one], other, self.poses[other]) - _LITTLE)
            for one, pose in moving.items() for other, standing in everybody.items()
            if one != other and frozenset((one, other)) not in together
        )  # fmt: skip

    def _inside(self, number: int, pose: Pose, view: View) -> bool:
        if not self.actors[number].wall:
            beside = beyond = self.radius(number, pose)
        else:
            beside, beyond = pose.size * self.actors[number].wide, pose.size
        left, top, right, bottom = box_of(view, self.width, self.height)
        return left <= pose.x - beside and pose.x + beside <= right and top <= pose.y - beyond and (
            pose.y + beyond <= bottom
        )  # fmt: skip

    def _no_chance_meeting(self, ways: Mapping[int, Way], meant: set[frozenset[int]]) -> bool:
        """Nobody ends close to another as if they had met, but where that is what happens."""
        before = self._all({number: self._on_way(way, 0.0) for number, way in ways.items()})
        after = self._all({number: self._on_way(way, 1.0) for number, way in ways.items()})
        for a, b in combinations(after, 2):
            if (a in ways or b in ways) and frozenset((a, b)) not in meant:
                gap = self.gap(a, after[a], b, after[b])
                if gap < _CLEAR * self.least and gap < self.gap(a, before[a], b, before[b]):
                    return False
        return True


def box_of(view: View, width: int, height: int) -> tuple[float, float, float, float]:
    """What a camera sees of the world, with frames of width x height px: left, top, right, bottom."""
    beside, beyond = width / 2 / view.zoom, height / 2 / view.zoom
    return view.x - beside, view.y - beyond, view.x + beside, view.y + beyond


def _together(behind: Mapping[int, int], acts: Sequence[Act]) -> set[frozenset[int]]:
    """Pairs of which one is hidden by the other, or that shall nearly touch."""
    return {frozenset(pair) for pair in behind.items()} | {
        frozenset(act.actors) for act in acts if act.verb in ("hide", "appear", "meet")
    }


def _joined(acts: Sequence[Act]) -> set[frozenset[int]]:
    """Pairs that do something with each other."""
    return {frozenset(act.actors) for act in acts if act.other is not None}
