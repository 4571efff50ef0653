"""The frames of an open film file, through PyAV (FFmpeg's libraries), which is imported where such a file is met.

The bytes are not trusted: the file is read through Python, so that what it names can't be opened in its place; only
containers and codecs that films come in are tried; sizes are checked before a frame is decoded, and by the decoder
whenever they change; what is decoded is counted. Packets that can't be decoded are passed over, as players do.

Times are seconds from the container's beginning.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from magicvl.edge.pixels import MAX_PIXELS
from magicvl.edge.video.film import CLOSE, MOST_DECODED, MOST_SECONDS
from magicvl.errors import FilmError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS: Final = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "ivf")
"""FFmpeg's names: mp4, m4v, 3gp and mov; mkv and webm; avi; ts; mpg; flv; ogv; wmv; ivf."""
CODECS: Final = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg1video", "mpeg2video",
    "h263", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "wmv3", "vc1", "flv", "theora", "mjpeg", "prores", "dnxhd", "ffv1",
    "vvc", "rawvideo", "png", "qtrle", "dvvideo",
)  # fmt: skip
"""FFmpeg's names of decoders."""
MOST_STREAMS: Final = 64
PATIENCE: Final = 2.0
"""Seconds of film that are decoded through, where a jump would lead to a key frame before them."""
USUAL_STEP: Final = 0.04
"""Seconds between frames of a film that says nothing of them."""


class Timed(NamedTuple):
    """A frame and when it comes on screen."""

    time: float
    frame: "VideoFrame"


class Reader:
    """The pictures of an open container, onwards from where it stands."""

    def __init__(self, container: "InputContainer", stream: "VideoStream", name: str) -> None:
        self._container = container
        self._stream = stream
        self._name = name
        self._base = float(stream.time_base or 0)
        begin = container.start_time
        self._begin = (stream.start_time or 0) * self._base if begin is None else begin / 1e6
        rate = stream.guessed_rate or stream.average_rate
        self._step = 1 / float(rate) if rate else USUAL_STEP
        self._patience = PATIENCE
        self._count = 0
        self._shown: Timed | None = None
        self._ahead: Timed | None = None
        self._rest = self._decoded(-inf)
        self.damaged = 0
        """Packets that were passed over."""

    @property
    def claimed(self) -> float | None:
        """The length that the file says it has, None where it says none."""
        if self._stream.duration is not None:
            return self._stream.duration * self._base
        return None if self._container.duration is None else self._container.duration / 1e6

    @property
    def pixel_shape(self) -> float:
        """How many times as wide as high a pixel is shown."""
        return float(self._stream.sample_aspect_ratio or 1)

    def length(self) -> float:
        """The length that it has: to the end of the last packet, looked for behind the claimed one first.

        Raises FilmError where there is no packet.
        """
        end = None
        if self.claimed is not None and 0 < self.claimed <= MOST_SECONDS and self.jump(self.claimed):
            end = self._last_end()
            if end is None:
                # Its index leads to where nothing is: cut short.
                self.jump(0.0)
        end = self._last_end() if end is None else end
        if end is None:
            raise FilmError(f"{self._name}: no frame is left of it; it is damaged or cut short")
        return end

    def skip(self, kind: str) -> None:
        """Lets frames of a kind be: FFmpeg's NONREF or NONKEY."""
        self._stream.codec_context.skip_frame = kind  # type: ignore[assignment]

    def jump(self, when: float) -> bool:
        """Goes on from the key frame before a moment; False where the container can't."""
        from av.error import FFmpegError

        try:
            self._container.seek(round((when + self._begin) / self._base), stream=self._stream)
        except (FFmpegError, OverflowError, ZeroDivisionError):
            return False
        self._ahead, self._rest = None, self._decoded(-inf)
        return True

    def on_screen(self, when: float) -> Timed:
        """The frame on screen at a moment, which is no earlier than the last one asked for. Raises FilmError."""
        if when - (0.0 if self._shown is None else self._shown.time) > self._patience:
            self._jump_ahead(when)
        while (ahead := self.peek()) is not None and (self._shown is None or ahead.time <= when + CLOSE):
            self._shown, self._ahead = ahead, None
        if self._shown is None:
            raise FilmError(f"{self._name}: no frame of it can be decoded; it is damaged or cut short")
        return self._shown

    def peek(self) -> Timed | None:
        """The next frame, which stays the next one; None at the end."""
        if self._ahead is None:
            self._ahead = next(self._rest, None)
        return self._ahead

    def onwards(self) -> Iterator[Timed]:
        """Every frame from here on, in order of time."""
        return self._rest

    def _jump_ahead(self, when: float) -> None:
        """Jumps towards a moment; where that gains nothing, the next jump has to promise more."""
        if not self.jump(when):
            self._patience = inf
            return
        landed, reached = self.peek(), -inf if self._shown is None else self._shown.time
        if landed is None or landed.time > when + CLOSE:
            # Its index is wrong.
            self._patience = inf
            self.jump(0.0)
        elif landed.time <= reached:
            self._patience = 2 * (when - landed.time)

    def _decoded(self, last: float) -> Iterator[Timed]:
        from av.error import FFmpegError

        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                check_size(frame.width, frame.height, self._name)
                self._check_count()
                now = self._time(frame, last)
                # What is of before the beginning is there to decode others; a clock that turns back is a broken one.
                if now > max(last, -CLOSE):
                    last = now
                    yield Timed(now, frame)

    def _time(self, frame: "VideoFrame", last: float) -> float:
        if frame.pts is not None:
            return frame.pts * self._base - self._begin
        # Where frames are only counted, none may be jumped over.
        self._patience = inf
        return max(last, -self._step) + self._step

    def _check_count(self) -> None:
        self._count += 1
        if self._count > MOST_DECODED:
            raise FilmError(f"{self._name}: more than {MOST_DECODED:,} frames would have to be decoded; cut it first")

    def _last_end(self) -> float | None:
        """When the last of the packets from here on ends, None where there are none."""
        end = None
        for packet in self._container.demux(self._stream):
            begins = packet.dts if packet.pts is None else packet.pts
            if begins is not None and packet.size:
                length = (packet.duration or 0) * self._base or self._step
                end = max(end or 0.0, begins * self._base - self._begin + length)
        return end


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Opens a film file; whatever goes wrong with it inside is a FilmError with one line."""
    name = os.fspath(path)
    try:
        import av
    except ImportError as error:
        raise FilmError(
            f"{name}: films in files need PyAV, which can't be loaded ({error}): pip install 'magicvl[video]', or take "
            f"it apart into a folder of pictures"
        ) from None
    try:
        with path.open("rb") as file, _opened(file) as found:
            yield Reader(found, _pictures_of(found, name), name)
    except av.error.ArgumentError:
        kinds = "mp4, mov, webm, mkv, avi, ts, mpg, flv, ogv, wmv"
        raise FilmError(f"{name}: no film in a format or codec that is read ({kinds})") from None
    except av.error.FFmpegError as error:
        raise FilmError(f"{name}: it can't be read as a film ({error.strerror})") from None
    except OSError as error:
        raise FilmError(f"{name}: it can't be read ({error.strerror})") from None


def _opened(file: BinaryIO) -> "InputContainer":
    import av

    codecs = {"codec_whitelist": ",".join(CODECS)}
    options = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none", **codecs}
    limits: Any = [codecs | {"max_pixels": str(MAX_PIXELS)}] * MOST_STREAMS
    # Titles and the like are of no interest: one in odd letters is no reason to refuse a film.
    opened = partial(av.open, file, "r", options=options, metadata_errors="replace")
    try:
        return opened(stream_options=limits)
    except av.error.FFmpegError:
        raise
    except ValueError:
        # Containers that name their streams as they go, MPEG's, cannot be told about them before.
        file.seek(0)
        return opened()


def check_size(width: int, height: int, name: str) -> None:
    """Raises FilmError for frames that are none, or too large to be decoded."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise FilmError(f"{name}: frames of {width:,} x {height:,} px; up to {MAX_PIXELS:,} px are decoded")


def _pictures_of(container: "InputContainer", name: str) -> "VideoStream":
    from av.stream import Disposition

    if len(container.streams) > MOST_STREAMS:
        raise FilmError(f"{name}: {len(container.streams):,} streams, at most {MOST_STREAMS} are looked through")
    films = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = next((each for each in films if best is not None and each.index == best.index), next(iter(films), None))
    if stream is None:
        raise FilmError(f"{name}: it holds no film, only sound or a cover")
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        raise FilmError(f"{name}: its codec, {'an unknown one' if context is None else context.name}, is not read")
    width, height = max(context.width, context.coded_width), max(context.height, context.coded_height)
    if not width or not height:
        raise FilmError(f"{name}: the size of its frames can't be found, or is more than {MAX_PIXELS:,} px")
    check_size(width, height, name)
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream
