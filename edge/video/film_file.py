"""A film file, mp4 or another; its bytes are `magicvl.edge.video.film_reader`'s business."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from magicvl.edge.video.film import Frame, Note, check_length
from magicvl.edge.video.film_reader import Reader, check_size, open_reader
from magicvl.edge.video.scenes import SIDE, Grey, spaced

if TYPE_CHECKING:
    from av import VideoFrame
    from av.buffer import Buffer

LONG: Final = 600.0
"""Seconds past which scenes are looked for in key frames alone: encoders begin a scene with one."""
WIDEST_PIXEL: Final = 4.0
"""How many times as wide as high a pixel may be, or the other way round, to be taken at its word."""
WRONG: Final = 0.1
"""Share of its length by which a film may be wrong about it in silence, and at least a second."""

_TURNS: Final = MappingProxyType(
    {
        (-1, 0, 0, 1): Transpose.FLIP_LEFT_RIGHT,
        (1, 0, 0, -1): Transpose.FLIP_TOP_BOTTOM,
        (-1, 0, 0, -1): Transpose.ROTATE_180,
        (0, -1, 1, 0): Transpose.ROTATE_90,
        (0, 1, -1, 0): Transpose.ROTATE_270,
        (0, 1, 1, 0): Transpose.TRANSPOSE,
        (0, -1, -1, 0): Transpose.TRANSVERSE,
    }
)
"""What a display matrix (a b, c d) does to rows of (x y), to the nearest quarter turn."""


@dataclass(frozen=True)
class FileFilm:
    """A film in a file of its own; opened anew for each purpose, so that nothing is held between. See `Film`."""

    name: str
    path: Path
    width: int
    height: int
    seconds: float
    note: Note

    @property
    def count(self) -> None:
        """None: what headers say of it is often wrong."""
        return None

    def frames(self, times: Sequence[float]) -> Iterator[Frame]:
        """See `Film.frames`."""
        with self._opened() as reader:
            for when in times:
                begins, frame = reader.on_screen(when)
                yield Frame(when, begins, _upright(frame, reader.pixel_shape))

    def thumbnails(self, begin: float, end: float) -> Iterator[tuple[float, Grey]]:
        """See `Film.thumbnails`."""
        with self._opened() as reader:
            reader.skip("NONKEY" if end - begin > LONG else "NONREF")
            if begin > 0:
                reader.jump(begin)
            for when, frame in spaced(reader.onwards(), begin, end):
                yield when, _grey(frame)

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        with open_reader(self.path) as reader:
            yield reader
            if reader.damaged:
                self.note(f"{self.name}: what can't be decoded is passed over, packets: {reader.damaged:,}")


def open_file(path: Path, note: Note) -> FileFilm:
    """Opens a film file and finds its size and its length. Raises FilmError."""
    name = os.fspath(path)
    with open_reader(path) as reader:
        claimed, seconds = reader.claimed, reader.length()
    check_length(name, seconds)
    if claimed is not None and abs(claimed - seconds) > max(1.0, WRONG * seconds):
        note(f"{name}: it says that it is {claimed:,.1f} seconds long, there are {seconds:,.1f}")
    with open_reader(path) as reader:
        first = _upright(reader.on_screen(0.0).frame, reader.pixel_shape)
    check_size(*first.size, name)
    return FileFilm(name, path, *first.size, seconds, note)


def _upright(frame: "VideoFrame", pixel_shape: float) -> Image.Image:
    """The frame as it is meant to be seen: RGB, square pixels, turned."""
    picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    if pixel_shape != 1 and 1 / WIDEST_PIXEL <= pixel_shape <= WIDEST_PIXEL:
        picture = picture.resize((max(1, round(picture.width * pixel_shape)), picture.height))
    turn = _TURNS.get(_matrix(frame))
    return picture if turn is None else picture.transpose(turn)


def _matrix(frame: "VideoFrame") -> tuple[int, int, int, int]:
    """The display matrix as -1, 0 and 1: (a, b, c, d)."""
    from av.sidedata.sidedata import Type

    # Its stub knows of motion vectors alone.
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)
    found = side_data.get(Type.DISPLAYMATRIX)
    if found is None or len(data := bytes(found)) != 36:
        return (1, 0, 0, 1)
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    upright = abs(a) + abs(d) >= abs(b) + abs(c)
    return (_sign(a), 0, 0, _sign(d)) if upright else (0, _sign(b), _sign(c), 0)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


def _grey(frame: "VideoFrame") -> Grey:
    return frame.reformat(SIDE, SIDE, "gray", interpolation="AREA").to_ndarray().astype(np.uint8, copy=False)
