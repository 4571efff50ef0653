"""Where everything is at a time: poses, and the steps from one to the next."""

import math
from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

Rgb = tuple[int, int, int]


class Between(Protocol):
    """What can be halfway to another of its kind."""

    def towards(self, other: Self, share: float) -> Self:
        """The state at a share, from 0 to 1, of the way to another."""


@dataclass(frozen=True)
class Pose:
    """How an actor stands."""

    x: float
    """Px of its middle in the world."""
    y: float
    size: float
    """Px from its middle to the end of its longer side."""
    turn: float = 0.0
    """Degrees clockwise."""
    colour: Rgb = (0, 0, 0)
    """Of shapes."""
    shown: bool = True
    """False before it enters and after it has left."""

    def towards(self, other: "Pose", share: float) -> "Pose":
        """The pose at a share of the way to another; shown all the way."""
        colour = tuple(round(_mix(a, b, share)) for a, b in zip(self.colour, other.colour, strict=True))
        return Pose(
            _mix(self.x, other.x, share),
            _mix(self.y, other.y, share),
            _mix(self.size, other.size, share),
            _mix(self.turn, other.turn, share),
            (colour[0], colour[1], colour[2]),
        )


@dataclass(frozen=True)
class View:
    """What the camera sees of the world."""

    x: float
    """Px of its middle in the world."""
    y: float
    zoom: float = 1.0
    """How many times larger than at the beginning everything is seen."""

    def towards(self, other: "View", share: float) -> "View":
        """The view at a share of the way to another."""
        return View(_mix(self.x, other.x, share), _mix(self.y, other.y, share), _mix(self.zoom, other.zoom, share))


S = TypeVar("S", bound=Between)


@dataclass(frozen=True)
class Step(Generic[S]):
    """The way from one state to another, at an even pace."""

    begin: float
    """In seconds."""
    end: float
    start: S
    target: S
    rise: float = 0.0
    """Px that a pose is lifted halfway, as in a jump."""

    def at(self, seconds: float) -> S:
        """The state at a time between begin and end."""
        share = (seconds - self.begin) / (self.end - self.begin)
        state = self.start.towards(self.target, share)
        if self.rise and isinstance(state, Pose):
            state = replace(state, y=state.y - self.rise * 4 * share * (1 - share))
        return state


@dataclass(frozen=True)
class Track(Generic[S]):
    """All the ways of an actor or of the camera."""

    first: S
    steps: tuple[Step[S], ...] = ()
    """In order; none begins before the one before has ended."""

    @property
    def last(self) -> S:
        """How it stands when all is done."""
        return self.steps[-1].target if self.steps else self.first

    def at(self, seconds: float) -> S:
        """The state at a time."""
        state = self.first
        for step in self.steps:
            if seconds < step.begin:
                break
            state = step.at(seconds) if seconds < step.end else step.target
        return state

    def then(self, step: Step[S]) -> "Track[S]":
        """The track with one more step."""
        return Track(self.first, (*self.steps, step))


def _mix(first: float, second: float, share: float) -> float:
    return first + (second - first) * share


def apart(one: Pose, other: Pose) -> float:
    """Px between the middles of two poses."""
    return math.hypot(one.x - other.x, one.y - other.y)
