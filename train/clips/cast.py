"""Who is in a film, how large, and on what ground."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.train.clips.actors import Actor, wall_actor
from magicvl.train.clips.ground import Ground
from magicvl.train.clips.motion import Rgb

DIFFERENCE = 1.6
"""Least between large and small."""
_LARGEST = (0.26, 0.215, 0.185, 0.16)
"""Most size of one of one, two, three, four actors, by the frame's shorter side."""
_SIZED = 0.4
"""Share of films in which some are large and others small, where there is room for that."""
_WALLS = ("grey", "brown", "black", "white", "orange", "red")


@dataclass(frozen=True)
class Wish:
    """What a film is to have, whatever else happens."""

    verb: str | None = None
    """One of the rules; None for any."""
    camera: str | None = None
    """What the camera is to do; None where it stands still."""
    wall: bool = False

    @property
    def sized(self) -> bool:
        """Whether somebody is to hide behind somebody larger."""
        return self.verb == "hide" and not self.wall

    @property
    def verbs(self) -> frozenset[str]:
        """All rules that are to be used."""
        return frozenset(verb for verb in (self.verb, self.camera) if verb is not None)


@dataclass(frozen=True)
class Cast:
    """Everything that is drawn, before anything happens."""

    width: int
    height: int
    least: float
    """Least size of an actor in px."""
    actors: tuple[Actor, ...]
    """Walls last."""
    ground: Ground
    over: int
    """How many times larger frames are drawn than shown."""
    colours: tuple[str, ...] = ()
    """What shapes may turn into."""


Size = tuple[float, tuple[str, ...]]
"""In px, and what it is called where it tells actors apart."""


def sizes_of(rng: random.Random, count: int, shorter: int, least: float, *, sized: bool) -> list[Size]:
    """A size for each of so many actors; where they are to be `sized`, the first is small and the second large."""
    most = max(least, _LARGEST[count - 1] * shorter)
    large = set(rng.sample(range(count), rng.randint(1, count - 1))) if count > 1 else set()
    if sized:
        large = (large | {1}) - {0}
    if count > 1 and most >= 1.06 * DIFFERENCE * least and (sized or rng.random() < _SIZED):
        return [
            (rng.uniform(1.06 * DIFFERENCE * least, most), ("large",)) if number in large
            else (rng.uniform(least, 1.06 * least), ("small",))
            for number in range(count)
        ]  # fmt: skip
    usual = rng.uniform(least, most)
    return [(max(least, usual * rng.uniform(0.94, 1.06)), ()) for _ in range(count)]


def wall_for(rng: random.Random, colours: Sequence[str], actors: Sequence[Actor], height: int) -> Actor | None:
    """A wall that at least the smallest of the actors can hide behind; None where no colour is left for it."""
    free = [colour for colour in _WALLS if colour in colours and all(actor.colour != colour for actor in actors)]
    if not free:
        return None
    radius = min(actor.reach * actor.size for actor in actors) * rng.uniform(1.08, 1.2)
    size = max(1.5 * radius, height * rng.uniform(0.27, 0.36))
    return wall_actor(rng.choice(free), size, radius / size)


def shade(rng: random.Random, colour: Rgb, spread: int) -> Rgb:
    """A colour near one."""
    red, green, blue = (min(255, max(0, channel + rng.randint(-spread, spread))) for channel in colour)
    return red, green, blue
