"""What came of a film: its description, the frames that were looked at, and what it took."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from magicvl.edge.answer import Timings, Usage
from magicvl.edge.plan import Plan
from magicvl.edge.video.description import Action, Description, Subject, time_text
from magicvl.edge.video.share import Share
from magicvl.edge.video.window import Window


@dataclass(frozen=True)
class Chosen:
    """What of a film is to be looked at."""

    windows: tuple[Window, ...]
    share: Share
    plan: Plan
    """Of a frame of the film's size."""
    scenes: int | None
    """How many were found, None where nobody looked for them."""

    @property
    def times(self) -> tuple[float, ...]:
        """Of all frames, in seconds from the film's beginning."""
        return tuple(when for window in self.windows for when in window.times)


@dataclass(frozen=True)
class LookedAt:
    """A frame that was described."""

    time: float
    """In seconds from the film's beginning."""
    plan: Plan
    window: int
    """From 0."""


@dataclass(frozen=True)
class Captioned:
    """A film's description and what it took."""

    description: Description
    seconds: float
    """Length of the film."""
    chosen: Chosen
    frames: tuple[LookedAt, ...]
    """Fewer than were chosen where the film shows one picture at several of the moments."""
    adapted: bool
    """Whether the bundle's caption adapter wrote it."""
    usage: Usage
    """Of all windows together."""
    timings_ms: Timings
    """Of all windows together; `first_token` is from the beginning to the first one's first, `encode` has the film's
    decoding in it."""
    choose_ms: float
    """Of that, choosing frames, and opening the film where it was not open."""
    notes: tuple[str, ...]
    """What is odd about the film."""

    @property
    def left_out(self) -> int:
        """Moments at which the film shows what it showed at the one before."""
        return len(self.chosen.times) - len(self.frames)

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl caption --json` prints."""
        timings = {"choose": self.choose_ms} | asdict(self.timings_ms)
        return {
            **self.description.to_json(),
            "seconds": round(self.seconds, 3),
            "frames": [
                {"time": round(each.time, 3), "window": each.window, **each.plan.to_json()} for each in self.frames
            ],
            "frame_budget": self.chosen.share.frame_budget,
            "left_out": self.left_out,
            "scenes": self.chosen.scenes,
            "windows": [[round(each.begin, 3), round(each.end, 3)] for each in self.chosen.windows],
            "caption_lora": self.adapted,
            "usage": asdict(self.usage),
            "timings_ms": {name: round(value, 3) for name, value in timings.items()},
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """The same for people: each subject with what it does and when, then the caption."""
        lines = [line for subject in self.description.subjects for line in _subject(subject)]
        return "\n".join([*lines, *([""] if lines else []), self.description.caption])


def _subject(subject: Subject) -> Iterator[str]:
    yield f"{subject.name}: {', '.join(subject.attributes)}" if subject.attributes else subject.name
    spans = [_span(action) for action in subject.actions]
    widest = max(map(len, spans), default=0)
    for span, action in zip(spans, subject.actions, strict=True):
        yield f"  {span:<{widest}}  {action.action}"


def _span(action: Action) -> str:
    if not action.times:
        return ""
    first, last = time_text(action.times[0]), time_text(action.times[-1])
    return f"{first} s" if first == last else f"{first} to {last} s"
