"""A film is opened by what it is.

mp4, mov, webm, mkv, avi ...   magicvl.edge.video.film_file       PyAV, the extra `video`
GIF, animated WebP and PNG     magicvl.edge.video.film_animation  Pillow
a folder of pictures           magicvl.edge.video.film_folder     Pillow
"""

import os
from pathlib import Path
from typing import Final

from magicvl.edge.video.film import Film, Note
from magicvl.edge.video.film_animation import is_animation, open_animation
from magicvl.edge.video.film_folder import FPS, open_folder
from magicvl.errors import FilmError, UsageError

FilmSource = str | os.PathLike[str] | Film
"""A path, or a film that is open or drawn."""


def open_film(source: FilmSource, *, fps: float | None = None, note: Note) -> Film:
    """Opens a film by what it is: a folder, a moving picture that Pillow reads, or else a film file.

    `fps` is for folders. Raises FilmError, PictureError with one line that names it; UsageError for `fps` elsewhere.
    """
    if not isinstance(source, str | os.PathLike):
        _only_folders(fps, source.name)
        return source
    path, name = Path(source), os.fspath(source)
    # os.path.isdir: a name with a null byte is no folder, and not an error.
    if os.path.isdir(path):
        return open_folder(path, FPS if fps is None else fps, note)
    _only_folders(fps, name)
    beginning = _beginning(path, name)
    if is_animation(beginning):
        return open_animation(path, note)
    if kind := _STILLS.get(beginning[:3]):
        raise FilmError(f"{name}: a {kind} picture, no film: ask about it with magicvl ask")
    from magicvl.edge.video.film_file import open_file

    return open_file(path, note)


_STILLS: Final = {b"\xff\xd8\xff": "JPEG", b"BM6": "BMP", b"II*": "TIFF", b"MM\0": "TIFF"}


def _only_folders(fps: float | None, name: str) -> None:
    if fps is not None:
        raise UsageError(f"{fps:g} frames a second: {name} has times of its own; that is for a folder of frames")


def _beginning(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(64)
    except FileNotFoundError:
        raise FilmError(f"{name}: no such file") from None
    except OSError as error:
        raise FilmError(f"{name}: it can't be read ({error.strerror})") from None
    except ValueError as error:  # a name with a null byte
        raise FilmError(f"{name!r}: no such file ({error})") from None
    if not found:
        raise FilmError(f"{name}: the file is empty")
    return found
