"""What is true of a film: what descriptions of it are scored against."""

from dataclasses import dataclass

from magicvl.edge.video.description import Subject


@dataclass(frozen=True)
class Reference:
    """The truth, as far as its source tells it."""

    subjects: tuple[Subject, ...] = ()
    """Empty where the source names none."""
    events: tuple[str, ...] = ()
    """What happens, a short sentence each, in order: `the red circle moves left`."""
    caption: str = ""
