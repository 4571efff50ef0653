"""How much happens in a film."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Depth = Literal["simple", "mixed", "rich"]


@dataclass(frozen=True)
class Level:
    """What a film is made of, before chance decides."""

    actors: tuple[int, int]
    """Least and most, walls not counted."""
    events: tuple[int, int]
    verbs: Mapping[str, float]
    """How often each rule of magicvl.train.clips.verbs is tried, against the others."""
    at_once: float = 0.0
    """How often two events are tried at the same time."""
    together: Mapping[str, float] = field(default_factory=dict)
    """Shares of films in which two do something with each other, by what they do."""
    walls: float = 0.0
    """Share of the films in which somebody hides, where it is behind a wall."""
    camera: float = 0.0
    """Share of films in which the camera moves, once."""


_ALONE = {"move": 2.0, "enter": 0.7, "leave": 1.2, "jump": 1.5, "spin": 1.5, "grow": 2.0, "shrink": 2.5, "turn": 1.5}
_TOGETHER = {"meet": 1.0, "follow": 1.5, "hide": 0.5, "appear": 3.0}
LEVELS: Mapping[Depth, Level] = {
    "simple": Level((1, 1), (1, 2), _ALONE),
    "mixed": Level(
        (1, 3), (2, 4), _ALONE | _TOGETHER, at_once=0.15,
        together={"meet": 0.1, "follow": 0.15, "hide": 0.17}, walls=0.6,
    ),
    "rich": Level(
        (2, 4), (3, 6), _ALONE | _TOGETHER, at_once=0.3,
        together={"meet": 0.1, "follow": 0.2, "hide": 0.2}, walls=0.5, camera=0.4,
    ),
}  # fmt: skip
