"""Where a subject is, frame after frame: what a model may write down before it says what the subject does.

    3 053 green;4 253 green tilted;

Each entry is a frame's number, counted from 1, then three digits: the column and the row that the subject's middle is
in, of ten each, and how large it is, in tenths of the frame's shorter side; then what it looks like, in two words at
most. Frames that do not show it are left out. Movement is then there to be read: next to one another in the text, and
not in pictures far apart.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_FRAMES = 48
"""Of a window whose subjects are tracked: each makes the grammar longer, which has its bound."""
_LOOK = r"(?: [a-z]{1,12}){0,2}"
ENTRY = re.compile(rf"([1-9][0-9]*) ([0-9])([0-9])([0-9])({_LOOK});")
"""Groups: the frame's number, three digits, what it looks like with a space before it."""


@dataclass(frozen=True)
class Sighting:
    """A subject in a frame."""

    time: float
    """Of the frame, in seconds from the film's beginning."""
    x: float
    """Of its middle, from the left, in shares of the frame's width."""
    y: float
    """From the top, in shares of its height."""
    size: float
    """Its longer side in shares of the frame's shorter one; 0.95 for all that are larger."""
    look: str
    """Up to two words, such as `green tilted`."""

    def to_json(self) -> dict[str, object]:
        """One entry of `track` as `magicvl caption --json` prints it."""
        return {"time": round(self.time, 3), "x": self.x, "y": self.y, "size": self.size, "look": self.look}


def track_pattern(frames: int) -> str:
    """A regular expression of all tracks over so many frames: each at most once, in order."""
    return "".join(rf"(?:{number} [0-9]{{3}}{_LOOK};)?" for number in range(1, frames + 1))


def write_track(track: Sequence[Sighting], times: Sequence[float]) -> str:
    """The text of a track, whose times are some of those of the frames; what lies in a digit's range becomes the digit.

    Raises ValueError for a time of no frame.
    """
    entries = (
        f"{times.index(each.time) + 1} {marks(each.x, each.y, each.size)} {each.look}".rstrip() for each in track
    )
    return "".join(f"{entry};" for entry in entries)


def read_track(text: str, times: Sequence[float]) -> tuple[Sighting, ...]:
    """What a text says of frames of those times, each value the middle of its digit's range.

    Raises ValueError for what is no track of them.
    """
    found = tuple(_entries(text, times))
    if any(after.time <= before.time for before, after in pairwise(found)):
        raise ValueError("a track whose frames are not in order")
    return found


def _entries(text: str, times: Sequence[float]) -> Iterator[Sighting]:
    place = 0
    while place < len(text):
        entry = ENTRY.match(text, place)
        if entry is None or int(entry[1]) > len(times):
            raise ValueError(f"no sighting in one of {len(times)} frames: {text[place : place + 24]!r}")
        column, row, size = (round(int(entry[group]) / 10 + 0.05, 2) for group in (2, 3, 4))
        yield Sighting(times[int(entry[1]) - 1], column, row, size, entry[5].strip())
        place = entry.end()


def marks(x: float, y: float, size: float) -> str:
    """The three digits of shares as a Sighting has them."""
    return "".join(str(min(9, max(0, int(10 * share)))) for share in (x, y, size))
