"""The lines of a table: which numbers of a film they are made of, and how.

F1 is that of mean precision and mean recall over films, as DREAM-1K (Tarsier, arXiv 2407.00634) and CaReBench
(arXiv 2501.00513) report it: not the mean of each film's F1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EVENTS = ("event precision", "event recall")
ACTIONS = ("action precision", "action recall")
OBJECTS = ("object precision", "object recall")
ANSWERS = "answers right"
GRADE = "answer grade"
VALID = "valid format"
WORDS = "caption words"
REPEATED = "repeated phrases"
COPIED = "copied words"
DOUBLED = "doubled in lists"
EMPTY = "empty subjects"
COMMONEST = "commonest caption"


@dataclass(frozen=True)
class Measure:
    """A line of a table."""

    name: str
    columns: tuple[str, ...]
    """One: its mean over films. Two, a precision and a recall: their harmonic mean."""
    scale: float = 100.0
    """What a value of 1 is reported as."""
    unit: str = "%"
    share: bool = True
    """Whether every value lies in 0 to 1."""
    drawn: bool = True
    """Whether figures have it."""

    def of(self, means: Floats) -> Floats:
        """The measure of means of its columns: shape (..., columns) in, (...) out."""
        if len(self.columns) == 1:
            return means[..., 0]
        product, total = means[..., 0] * means[..., 1], means[..., 0] + means[..., 1]
        return np.divide(2 * product, total, out=np.zeros_like(total), where=total > 0)


def f1_lines(what: str, columns: tuple[str, str]) -> tuple[Measure, ...]:
    """F1 of something, and the two that it is made of."""
    return (Measure(f"{what} F1", columns), *(Measure(name, (name,)) for name in columns))


EVENT_LINES = f1_lines("event", EVENTS)
ACTION_LINES = f1_lines("action", ACTIONS)
OBJECT_LINES = f1_lines("object", OBJECTS)
ANSWER_LINES = (Measure(ANSWERS, (ANSWERS,)), Measure(GRADE, (GRADE,), 5.0, "of 5"))
FORM_LINES = (
    Measure(VALID, (VALID,)),
    Measure(WORDS, (WORDS,), 1.0, "words", share=False, drawn=False),
    *(Measure(name, (name,), drawn=False) for name in (REPEATED, COPIED, DOUBLED, EMPTY, COMMONEST)),
)
"""What a text is like whatever its film shows; all but the first are signs of tricks that rewards may be won by."""
