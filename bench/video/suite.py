"""Films that are scored together."""

from collections.abc import Callable
from dataclasses import dataclass

from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import Measure
from magicvl.bench.video.part import Part
from magicvl.bench.video.tools import Tools


@dataclass(frozen=True)
class VideoSuite:
    """Films, and what is told of them."""

    name: str
    items: tuple[VideoItem, ...]
    parts: Callable[[Tools], tuple[Part, ...]]
    """What is scored of each text."""
    measures: tuple[Measure, ...]
    """The lines of its table; the first is what groups are told by."""
    judged: Callable[[Tools], str]
    """Who says what is right, for readers of the scores."""
    notes: tuple[str, ...] = ()
    """What they should know beside."""
