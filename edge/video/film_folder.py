"""A folder of pictures as a film, in the order that people number them: frame-2 before frame-10."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from magicvl.edge.pixels import open_picture, read_header
from magicvl.edge.video.film import CLOSE, MOST_DECODED, Frame, Note, check_length
from magicvl.edge.video.scenes import Grey, spaced, thumbnail
from magicvl.errors import FilmError, UsageError

FPS: Final = 1.0
"""Pictures a second where nobody says how many: what films are most often taken apart at."""
SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif")
"""Of the formats that pictures are read in."""


@dataclass(frozen=True)
class FolderFilm:
    """Pictures that are shown one after the other, each for 1 / fps seconds. See `Film`."""

    name: str
    paths: tuple[Path, ...]
    width: int
    height: int
    fps: float

    @property
    def count(self) -> int:
        """Pictures."""
        return len(self.paths)

    @property
    def seconds(self) -> float:
        """Until the last one has been shown."""
        return len(self.paths) / self.fps

    def frames(self, times: Sequence[float]) -> Iterator[Frame]:
        """See `Film.frames`."""
        for when in times:
            place = min(len(self.paths) - 1, max(0, math.floor((when + CLOSE) * self.fps)))
            yield Frame(when, place / self.fps, open_picture(self.paths[place]))

    def thumbnails(self, begin: float, end: float) -> Iterator[tuple[float, Grey]]:
        """See `Film.thumbnails`."""
        shown = ((place / self.fps, path) for place, path in enumerate(self.paths))
        for when, path in spaced(shown, begin, end):
            yield when, thumbnail(open_picture(path))


def open_folder(folder: Path, fps: float, note: Note) -> FolderFilm:
    """The pictures of a folder; what else lies in it is noted. Raises FilmError, PictureError, UsageError."""
    name = os.fspath(folder)
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"{fps:g} frames a second: it must be above 0")
    try:
        files = sorted((path for path in folder.iterdir() if _is_seen(path)), key=_natural)
    except OSError as error:
        raise FilmError(f"{name}: it can't be read ({error.strerror})") from None
    paths = tuple(path for path in files if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FilmError(f"{name}: no picture lies in this folder ({', '.join(SUFFIXES)})")
    if len(paths) > MOST_DECODED:
        raise FilmError(f"{name}: {len(paths):,} pictures, at most {MOST_DECODED:,} are one film")
    if others := len(files) - len(paths):
        note(f"{name}: what is no picture is left out, {others:,} of {len(files):,} files")
    header = read_header(paths[0])
    check_length(name, len(paths) / fps)
    return FolderFilm(name, paths, header.width, header.height, fps)


def _is_seen(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Numbers by their value; names that differ in zeros alone by their letters."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], path.name
