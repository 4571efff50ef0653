"""A film of a suite and what is true of it: plain frozen data between the parts of a measurement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from magicvl.edge.video.film import Film
from magicvl.train.rewards.reference import Reference


@dataclass(frozen=True)
class Pair:
    """A question that a good caption answers, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class VideoItem:
    """A film."""

    id: str
    """Unique in its suite; what texts that were generated elsewhere are told apart by."""
    open: Callable[[], Film]
    """Raises FilmError, PictureError."""
    digest: Callable[[], str]
    """Hash of what is seen in it."""
    reference: Callable[[Sequence[float]], Reference]
    """What is true, told by the times of the frames that are shown."""
    objects: tuple[str, ...] = ()
    """What is seen in it, where its source lists it: short phrases."""
    pairs: tuple[Pair, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    """What it belongs to, by kind of group."""
