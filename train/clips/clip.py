"""A short film and everything that is true of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from magicvl.edge.video.description import Action, Description, Subject
from magicvl.train.clips.film import Film
from magicvl.train.clips.sightings import sightings
from magicvl.train.rewards.reference import Reference


@dataclass(frozen=True)
class Who:
    """An actor, or a wall."""

    name: str
    """Such as `circle`."""
    attributes: tuple[str, ...]
    """What it is like when it is first seen: size where it differs, then colour."""


@dataclass(frozen=True)
class Happening:
    """One event."""

    text: str
    """A clause: `the red circle moves left`."""
    begin: float
    end: float
    """In seconds."""
    subject: int | None
    """Number among the clip's subjects; None for the camera."""
    action: str
    """What is done, without who does it: `moves left`."""
    other: int | None = None
    """The subject that it is done with."""
    returned: str | None = None
    """What that one does meanwhile, where it is part of the same event: `meets the red circle`."""

    def seen(self, times: Sequence[float]) -> tuple[float, ...]:
        """The frames in which it is seen, or the nearest where it falls between two."""
        during = tuple(seconds for seconds in times if self.begin <= seconds <= self.end)
        middle = (self.begin + self.end) / 2
        return during or (min(times, key=lambda seconds: abs(seconds - middle)),)


@dataclass(frozen=True)
class Clip:
    """A film that is drawn frame by frame as it is looked at."""

    id: str
    """Names style, split, seed and number."""
    width: int
    """In px."""
    height: int
    """In px."""
    seconds: float
    subjects: tuple[Who, ...]
    """In the order in which they appear; those who are there from the beginning from left to right."""
    events: tuple[Happening, ...]
    """By when they begin."""
    caption: str
    """Whole sentences that tell all events in order, and nothing else but who is there."""
    film: Film

    def picture(self, seconds: float) -> Image.Image:
        """The frame of a time: RGB, the same for the same time."""
        return self.film.picture(seconds)

    def description(self, times: Sequence[float]) -> Description:
        """What a model that sees the frames of those times (at least one) should write.

        An action has the frames in which it is seen, or the nearest where it falls between two.
        The camera's doings stand in the caption alone.
        """
        subjects = tuple(
            Subject(who.name, who.attributes, self._actions(number, times), sightings(self.film, number, times))
            for number, who in enumerate(self.subjects)
        )
        return Description(subjects, self.caption)

    def reference(self, times: Sequence[float]) -> Reference:
        """What descriptions of those frames are scored against."""
        return Reference(self.description(times).subjects, tuple(event.text for event in self.events), self.caption)

    def _actions(self, number: int, times: Sequence[float]) -> tuple[Action, ...]:
        found = []
        for event in self.events:
            if event.subject == number:
                found.append(Action(event.action, event.seen(times)))
            elif event.other == number and event.returned is not None:
                found.append(Action(event.returned, event.seen(times)))
        return tuple(found)
