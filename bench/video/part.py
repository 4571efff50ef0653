"""What is scored of a text: numbers by name, and the verdicts that they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from magicvl.bench.video.item import VideoItem
from magicvl.edge.video.description import Description
from magicvl.train.rewards.reference import Reference


@dataclass(frozen=True)
class Told:
    """What a model said of a film."""

    text: str
    """All that it wrote."""
    times: tuple[float, ...]
    """Of the frames that it saw, in seconds."""
    description: Description | None
    """None where the text is none; without subjects where it is a caption alone."""
    plain: bool
    """Whether the text is a caption alone, of a model that lists no subjects."""
    reference: Reference
    tracks: bool = False
    """Whether its description says where subjects are, frame by frame."""

    @property
    def caption(self) -> str:
        """Empty where there is none."""
        return self.description.caption if self.description is not None else ""


@dataclass(frozen=True)
class Verdict:
    """Something that was said or is true."""

    kind: str
    """event, action or object."""
    text: str
    said: bool
    """Whether the model said it; else it is true of the film."""
    right: bool
    """Whether the other side has it."""


@dataclass(frozen=True)
class Found:
    """What a part says of a text."""

    columns: Mapping[str, float]
    """By name; what cannot be measured of it is left out."""
    verdicts: tuple[Verdict, ...] = ()


class Part(Protocol):
    """Something that is measured of each text."""

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """What it says of a text. Raises MagicVLError where a judge cannot be asked."""


def share(verdicts: Sequence[bool]) -> float:
    """Share of what is right; 0 where there is nothing, so that silence is never worth anything."""
    return sum(verdicts) / len(verdicts) if verdicts else 0.0
