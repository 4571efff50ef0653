"""Asks a bundle to describe the films of a suite, the likeliest token at each step, and keeps what it says.

A kept text belongs to what decides it: the bundle with its caption adapter, the film, how many frames, the budget and
the limit. What could not be brought to an end within the limit is kept as an empty text, which scores nothing.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from magicvl.bench.accuracy.answers import Answers, Kept
from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.score import Progress
from magicvl.bench.video.suite import VideoSuite
from magicvl.bench.video.texts import Said
from magicvl.edge.batch_output import lock_digest
from magicvl.edge.bundle import Lock
from magicvl.edge.video.asked import Asked
from magicvl.edge.video.captioned import Captioned
from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.description import write
from magicvl.edge.video.film import Film
from magicvl.errors import CutShortError, EngineError, PictureError

Describe = Callable[[Film], Captioned]
"""What an engine says of a film. Raises CutShortError, EngineError, PictureError."""


@dataclass(frozen=True)
class Asking:
    """How films are shown, and what the texts are kept under."""

    describe: Describe
    lock: Lock
    asked: Asked
    frames: int
    """Of each film."""

    def key(self, item: VideoItem) -> str:
        """What the text about a film is kept under."""
        adapter = self.lock.files.get("caption_lora")
        told = [lock_digest(self.lock), adapter.sha256 if adapter else "", item.digest(), self.asked.prompt]
        limits = [self.frames, self.asked.wish.budget, self.asked.max_tokens]
        return hashlib.sha256(json.dumps(["video", *told, *limits]).encode()).hexdigest()


def describe_suite(
    asking: Asking, suite: VideoSuite, *, run: str, kept: Answers, progress: Progress
) -> tuple[list[Said], list[Kept]]:
    """A text about each film, and what it took; those that `kept` has are not asked for again.

    Raises PictureError, EngineError, MagicVLError with the film's name in front.
    """
    texts, took = list[Said](), list[Kept]()
    for number, item in enumerate(suite.items):
        progress(number, len(suite.items))
        film = _open(item)
        times = uniform_times(film.seconds, asking.frames)
        key = asking.key(item)
        found = kept.get(key)
        if found is None:
            found = _describe(asking.describe, film, item)
            kept.add(key, found, bundle=run, suite=suite.name, id=item.id, times=list(times))
        texts.append(Said(found.answer, times))
        took.append(found)
    progress(len(suite.items), len(suite.items))
    return texts, took


def _open(item: VideoItem) -> Film:
    try:
        return item.open()
    except PictureError as error:
        raise type(error)(f"{item.id}: {error}") from None


def _describe(describe: Describe, film: Film, item: VideoItem) -> Kept:
    try:
        said = describe(film)
    except CutShortError:
        return Kept("", "length", 0)
    except (PictureError, EngineError) as error:
        raise type(error)(f"{item.id}: {error}") from None
    return Kept(write(said.description), "stop", said.usage.image_tokens)
