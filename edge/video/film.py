"""What a film is to those who look at it, whatever it is stored in; `magicvl.edge.video.open_film` opens one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from PIL import Image

from magicvl.edge.video.scenes import Grey
from magicvl.errors import FilmError

MOST_SECONDS: Final = 24 * 3600.0
"""Longest film that is read."""
MOST_DECODED: Final = 2**21
"""Most frames that are decoded of one film for one purpose: almost ten hours at 60 a second."""
CLOSE: Final = 0.0005
"""Seconds: a frame that begins so little after a moment is on screen then; clocks of containers count whole ms."""

Note = Callable[[str], None]
"""Told in one line what is odd about a film and does not keep it from being read."""


def once(note: Note, told: list[str]) -> Note:
    """Tells each line once, and keeps it in `told`: a film is read more than once."""

    def tell(text: str) -> None:
        if text not in told:
            told.append(text)
            note(text)

    return tell


class Frame(NamedTuple):
    """What is on screen at a moment."""

    time: float
    """The moment, in seconds from the film's beginning."""
    begins: float
    """When the picture came on screen: two moments of one picture have this alike."""
    picture: Image.Image
    """Upright RGB."""


class Film(Protocol):
    """A film that can be looked at. Nothing of it is held in memory but the frame that is looked at."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def width(self) -> int:
        """In px, upright; of a folder, the first picture's."""

    @property
    def height(self) -> int:
        """In px, upright; of a folder, the first picture's."""

    @property
    def seconds(self) -> float:
        """Its length, as it is and not as a header claims."""

    @property
    def count(self) -> int | None:
        """Pictures that it consists of; None where only decoding all of it would tell."""

    def frames(self, times: Sequence[float]) -> Iterator[Frame]:
        """What is on screen at each moment, in order, decoded one at a time. Raises FilmError, PictureError."""

    def thumbnails(self, begin: float, end: float) -> Iterator[tuple[float, Grey]]:
        """Small grey pictures of that part, with their times; see `magicvl.edge.video.scenes`. Raises as `frames`."""


def check_length(name: str, seconds: float) -> None:
    """Raises FilmError for a film that is longer than is read, or has no length."""
    if not 0 < seconds <= MOST_SECONDS:
        raise FilmError(f"{name}: {seconds:,.1f} seconds, films of up to {MOST_SECONDS:,.0f} are read; cut it first")
