"""Where a film's scenes begin, from small grey pictures of it.

thumbnails (SIDE x SIDE, grey) --change--> how much each differs from the last --cuts--> where one stands out

A picture counts as the first of a scene where it differs much from the last one, and much more than the pictures
around it differ from theirs: a camera that moves makes every picture differ, a cut one.

Source: the manner of PySceneDetect's AdaptiveDetector, with grey thumbnails in place of whole pictures in HSV.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]
Picture = TypeVar("Picture")

SIDE: Final = 32
"""Pixels of a thumbnail's side."""
INTERVAL: Final = 0.2
"""Seconds between two thumbnails at least: a scene of less is none that a frame would be spent on."""
LEAST_CHANGE: Final = 0.06
"""Mean difference of two thumbnails, of 1, from which a change can be a cut."""
STANDS_OUT: Final = 3.0
"""How many times a cut's change is that of the pictures around it."""
AROUND: Final = 5
"""Pictures on each side that a change is compared with."""


def spaced(pictures: Iterable[tuple[float, Picture]], begin: float, end: float) -> Iterator[tuple[float, Picture]]:
    """Of pictures with their times, in order, those that a part's thumbnails are made of; stops at `end`."""
    due = begin
    for when, picture in pictures:
        if when >= end:
            return
        if when >= due:
            due = when + INTERVAL
            yield when, picture


def thumbnail(picture: Image.Image) -> Grey:
    """The thumbnail of a picture: (SIDE, SIDE)."""
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def changes(thumbnails: Iterable[tuple[float, Grey]]) -> list[tuple[float, float]]:
    """The time of each thumbnail but the first, and its mean difference from the one before, 0..1; one is held."""
    found = []
    last: Grey | None = None
    for when, picture in thumbnails:
        if last is not None:
            found.append((when, float(np.abs(picture.astype(np.int16) - last).mean()) / 255))
        last = picture
    return found


def cuts(found: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of `changes`, those where a scene begins."""
    sizes = [size for _, size in found]
    return [change for i, change in enumerate(found) if _stands_out(sizes, i)]


def _stands_out(sizes: Sequence[float], place: int) -> bool:
    here = sizes[place]
    around = [*sizes[max(0, place - AROUND) : place], *sizes[place + 1 : place + 1 + AROUND]]
    usual = median(around) if around else 0.0
    # Of a cut that takes two pictures, such as a short fade, the stronger half is meant.
    highest = here >= max(sizes[max(0, place - 1) : place + 2])
    return here >= LEAST_CHANGE and here >= STANDS_OUT * usual and highest
