"""A generated clip as a film: what captions a file captions it too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magicvl.edge.video.choose import uniform_times
from magicvl.edge.video.film import Frame
from magicvl.edge.video.scenes import INTERVAL, Grey, thumbnail
from magicvl.train.clips.clip import Clip


@dataclass(frozen=True)
class ClipFilm:
    """Draws the frames that are looked at."""

    clip: Clip
    count: None = None

    @property
    def name(self) -> str:
        """Its id."""
        return self.clip.id

    @property
    def width(self) -> int:
        """In px."""
        return self.clip.width

    @property
    def height(self) -> int:
        """In px."""
        return self.clip.height

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.clip.seconds

    def frames(self, times: Sequence[float]) -> Iterator[Frame]:
        """The frame of each time."""
        for seconds in times:
            yield Frame(seconds, seconds, self.clip.picture(seconds))

    def thumbnails(self, begin: float, end: float) -> Iterator[tuple[float, Grey]]:
        """Small grey pictures of a part."""
        for seconds in uniform_times(end - begin, max(1, int((end - begin) / INTERVAL))):
            yield begin + seconds, thumbnail(self.clip.picture(begin + seconds))
