"""A GIF, an animated WebP or an animated PNG as a film, decoded by Pillow picture after picture."""

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from PIL import Image

from magicvl.edge.pixels import open_header, open_picture
from magicvl.edge.video.film import CLOSE, MOST_DECODED, Frame, Note, check_length
from magicvl.edge.video.scenes import Grey, spaced, thumbnail
from magicvl.errors import FilmError

MOST_PIXELS: Final = 2**33
"""Most pixels of all pictures together, each of which has to be decoded: two hours of 320 x 240 px at 15 a second."""
LEAST_SECONDS: Final = 0.01
"""What claims to be shown for no longer is shown for USUAL_SECONDS, as browsers do."""
USUAL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class AnimatedFilm:
    """Pictures of one file, each with the time that it begins at. See `Film`."""

    name: str
    path: Path
    width: int
    height: int
    begins: Sequence[float]
    """In seconds, one for each picture that is shown."""
    seconds: float

    @property
    def count(self) -> int:
        """Pictures."""
        return len(self.begins)

    def frames(self, times: Sequence[float]) -> Iterator[Frame]:
        """See `Film.frames`."""
        pictures = _pictures(self.path, self.name)
        reached, picture = -1, None
        for when in times:
            due = min(max(0, bisect_right(self.begins, when + CLOSE) - 1), self.count - 1)
            while reached < due:
                picture = next(pictures, None)
                reached += 1
            if picture is None:
                raise FilmError(f"{self.name}: it has changed while it was read")
            yield Frame(when, self.begins[due], open_picture(picture, self.name))

    def thumbnails(self, begin: float, end: float) -> Iterator[tuple[float, Grey]]:
        """See `Film.thumbnails`."""
        # The times come first: what begins at `end` is not even decoded.
        times = takewhile(lambda when: when < end, self.begins)
        for when, picture in spaced(zip(times, _pictures(self.path, self.name), strict=False), begin, end):
            yield when, thumbnail(open_picture(picture, self.name))


def is_animation(beginning: bytes) -> bool:
    """Whether a file that begins so may be one of these."""
    return beginning.startswith((b"GIF8", b"\x89PNG\r\n\x1a\n")) or beginning[:4] + beginning[8:12] == b"RIFFWEBP"


def open_animation(path: Path, note: Note) -> AnimatedFilm:
    """Decodes the file once, for the times of its pictures. Raises FilmError, PictureError."""
    name = os.fspath(path)
    begins, now = array("d"), 0.0
    with open_header(path, name) as header:
        width, height, kind = *header.size, header.format
    try:
        for picture in _pictures(path, name):
            begins.append(now)
            now += _shown(picture)
    except FilmError as error:
        if not begins:
            raise
        note(f"{error}; taken as far as it goes, {len(begins):,} pictures")
    if len(begins) < 2:
        raise FilmError(f"{name}: one {kind} picture, no film: ask about it with magicvl ask")
    check_length(name, now)
    return AnimatedFilm(name, path, width, height, begins, now)


def _pictures(path: Path, name: str) -> Iterator[Image.Image]:
    """Each picture in turn, as one object that the next step changes."""
    with open_header(path, name) as picture:
        # An animated PNG may begin with a picture for those who cannot play it.
        place = int(bool(picture.info.get("default_image")))
        shown = 0
        while _goes_on(picture, place, name):
            shown += 1
            if shown > MOST_DECODED or shown * picture.width * picture.height > MOST_PIXELS:
                raise FilmError(f"{name}: more than {shown - 1:,} pictures of this size are not decoded")
            yield picture
            place += 1


def _goes_on(picture: Image.Image, place: int, name: str) -> bool:
    """Makes it the picture at that place; False where there is none."""
    try:
        picture.seek(place)
    except EOFError:
        return False
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(name, place, error) from None
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise _damaged(name, place, error) from None
    return True


def _damaged(name: str, place: int, error: Exception) -> FilmError:
    return FilmError(f"{name}: damaged or cut short at picture {place + 1:,} ({error})")


def _shown(picture: Image.Image) -> float:
    """Seconds that a picture is shown."""
    milliseconds = picture.info.get("duration", 0)
    seconds = milliseconds / 1000 if isinstance(milliseconds, int | float) else 0.0
    return seconds if seconds > LEAST_SECONDS else USUAL_SECONDS
