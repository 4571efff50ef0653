"""Films whose captions are known to be right or wrong, event by event: what a judge is tried on.

planted.json has films in natural language, written for this. The kinds of caption, there and in those that
magicvl.train.rewards.planted_clips makes of clips:

    right        tells all events in their own words
    paraphrase   tells all events in other words
    actor        somebody else does it
    swapped      the two change places: the one follows who was followed
    action       something else is done, or in the other direction
    missing      some events are not told
    order        all events, in another order
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Kind = Literal["right", "paraphrase", "actor", "swapped", "action", "missing", "order"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FILMS = Path(__file__).with_name("planted.json")


@dataclass(frozen=True)
class Planted:
    """A caption, and which of the film's events it tells."""

    kind: Kind
    caption: str
    told: tuple[bool, ...]


@dataclass(frozen=True)
class PlantedFilm:
    """The events of a film, and captions of it."""

    events: tuple[str, ...]
    captions: tuple[Planted, ...]

    @property
    def reference(self) -> str:
        """All events as sentences."""
        return sentences_of(self.events)


def planted_films() -> list[PlantedFilm]:
    """The films in natural language that come along."""
    data = json.loads(FILMS.read_text(encoding="utf-8"))
    return [
        PlantedFilm(
            tuple(film["events"]),
            tuple(Planted(each["kind"], each["caption"], tuple(each["told"])) for each in film["captions"]),
        )
        for film in data
    ]


def sentences_of(events: Sequence[str]) -> str:
    """Events as sentences."""
    return " ".join(f"{event[:1].upper()}{event[1:]}." for event in events)
