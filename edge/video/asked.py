"""What is asked about a film, checked before one is opened."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Literal, TypedDict, get_args

from magicvl.edge.answer import Options
from magicvl.edge.video.description import PROMPT
from magicvl.edge.video.share import Wish
from magicvl.errors import UsageError

Choice = Literal["uniform", "scenes"]
MAX_TOKENS: Final = 1024
"""Most tokens of a window's description where nobody says how many: several subjects with a few actions each."""


@dataclass(frozen=True)
class Asked:
    """All that decides a film's description but the film and the model."""

    prompt: str = PROMPT
    wish: Wish = field(default_factory=Wish)
    choose: Choice = "uniform"
    """`uniform`: spread evenly; `scenes`: over the scenes, each of which has one frame at least."""
    fps: float | None = None
    """Pictures a second of a folder; None for `magicvl.edge.video.film_folder.FPS`."""
    start: float | None = None
    """Where to begin, in seconds; None for the film's beginning."""
    end: float | None = None
    """Where to stop, in seconds; None for the film's end."""
    max_tokens: int = MAX_TOKENS
    """Most tokens of a window's description."""
    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.choose not in get_args(Choice):
            raise UsageError(f"frames chosen by {self.choose!r}: there are {', '.join(get_args(Choice))}")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (isfinite(value) and value >= 0):
                raise UsageError(f"{name} {value:g}: it must be 0 or more seconds")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise UsageError(f"from {self.start:g} to {self.end:g} seconds: the end must be after the start")
        self.options()

    def options(self, schema: dict[str, Any] | None = None) -> Options:
        """How each window is answered. Raises UsageError."""
        return Options(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            schema=schema,
        )


class CaptionArguments(TypedDict, total=False):
    """What is asked, by name, as `Engine.caption` takes it: the fields of Asked and Wish."""

    prompt: str
    frames: int | None
    budget: int | None
    window: int | None
    choose: Choice
    fps: float | None
    start: float | None
    end: float | None
    max_tokens: int
    temperature: float
    top_p: float | None
    seed: int | None


def asked(**arguments: Any) -> Asked:
    """What CaptionArguments ask. Raises UsageError."""
    wish = {name: arguments.pop(name) for name in ("frames", "budget", "window") if name in arguments}
    return Asked(wish=Wish(**wish), **arguments)
