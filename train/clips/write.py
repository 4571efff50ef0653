"""Writes a clip as a film: an mp4, a GIF, or a folder of frames; whole or not at all."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from PIL import Image

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.train.clips.clip import Clip

if TYPE_CHECKING:
    from av.video.stream import VideoStream

Format = Literal["mp4", "gif", "frames"]
FORMATS: tuple[Format, ...] = get_args(Format)
FPS = 10
"""Frames a second that are written; GIF counts time in hundredths of a second."""
_CODECS = ("libx264", "mpeg4")
"""The first that the installed FFmpeg has is taken."""


def frame_times(clip: Clip, fps: int = FPS) -> list[float]:
    """When each frame begins, in seconds, with so many a second."""
    return [number / fps for number in range(max(1, round(clip.seconds * fps)))]


def write_film(clip: Clip, path: Path, kind: Format, fps: int = FPS) -> None:
    """Writes the film; for `frames` the path is that of a folder, which is replaced where it is there.

    Raises UsageError where PyAV is missing for an mp4, OSError.
    """
    _WRITERS[kind](clip, path, fps)


def _pictures(clip: Clip, fps: int) -> Iterator[Image.Image]:
    return (clip.picture(seconds) for seconds in frame_times(clip, fps))


def mp4_codec() -> str:
    """The encoder that mp4 films are written with. Raises UsageError where there is none."""
    try:
        import av
    except ImportError:
        raise UsageError("an mp4 needs PyAV; install magicvl[video], or write --format gif") from None
    codec = next((name for name in _CODECS if name in av.codecs_available), None)
    if codec is None:
        raise UsageError(f"PyAV has none of the encoders {', '.join(_CODECS)}; write --format gif")
    return codec


def _write_mp4(clip: Clip, path: Path, fps: int) -> None:
    codec = mp4_codec()
    import av

    with whole_file(path) as partial, av.open(str(partial), "w", format="mp4") as film:
        stream = cast("VideoStream", film.add_stream(codec, rate=fps))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
        # One thread: the same bytes however many cores there are.
        stream.codec_context.thread_count = 1
        for picture in _pictures(clip, fps):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        film.mux(stream.encode())


def _write_gif(clip: Clip, path: Path, fps: int) -> None:
    first, *rest = _pictures(clip, fps)
    with whole_file(path) as partial:
        first.save(partial, "GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def _write_frames(clip: Clip, path: Path, fps: int) -> None:
    partial = path.with_name(f".{path.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for number, picture in enumerate(_pictures(clip, fps)):
            picture.save(partial / f"{number:04d}.png")
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


_WRITERS: Mapping[Format, Callable[[Clip, Path, int], None]] = {
    "mp4": _write_mp4, "gif": _write_gif, "frames": _write_frames,
}  # fmt: skip
