"""Small films whose every frame says its number, written by PyAV."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageDraw

SIZE = (96, 64)
STEP = 4
"""Px that the bar moves from frame to frame."""


def draw_frame(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blue, with a red bar in the upper left part that is `number` steps from the left, and green below it."""
    picture = Image.new("RGB", size, (20, 40, 200))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, size[1] * 3 // 4, size[0], size[1]), fill=(20, 200, 40))
    left = STEP * number % (size[0] - 8)
    pen.rectangle((left, 4, left + 7, size[1] // 2), fill=(230, 20, 20))
    return picture


def number_of(picture: Image.Image) -> int:
    """The number that an upright frame says."""
    row = picture.height // 4
    red = [x for x in range(picture.width) if picture.getpixel((x, row))[0] > 130]  # type: ignore[index]
    assert red, "no bar: the frame is not upright"
    return round((sum(red) / len(red) - 3.5) / STEP)


WriteFilm = Callable[..., Path]


@pytest.fixture(scope="session")
def numbered() -> Callable[[int], Image.Image]:
    """Draws the frame of a number."""
    return draw_frame


@pytest.fixture(scope="session")
def number() -> Callable[[Image.Image], int]:
    """Reads the number of a frame."""
    return number_of


@pytest.fixture(scope="session")
def write_film() -> WriteFilm:
    """Writes a film of `count` numbered frames; `times` in ms give each its own."""

    def write(
        path: Path,
        count: int = 20,
        fps: int = 10,
        codec: str = "mpeg4",
        *,
        draw: Callable[[int], Image.Image] = draw_frame,
        size: tuple[int, int] = SIZE,
        times: Sequence[int] | None = None,
        rotation: tuple[float, bool] | None = None,
        pixel: Fraction | None = None,
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
    ) -> Path:
        with av.open(str(path), "w", options=container or {}) as film:
            stream: Any = film.add_stream(codec, rate=fps, options=options or {})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            if rotation is not None:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            if pixel is not None:
                stream.codec_context.sample_aspect_ratio = pixel
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number in range(count):
                frame: Any = av.VideoFrame.from_image(draw(number))  # type: ignore[no-untyped-call]
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, 1000)
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        return path

    return write
