"""What is asked and how it is scored, and what came of it: plain frozen data between the parts of a measurement."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from magicvl.edge.pixels import PictureSource


@dataclass(frozen=True)
class Question:
    """One question about the pictures of its Item."""

    id: str
    """Unique in its suite."""
    prompt: str
    truth: str
    """The right answer as a table of failures shows it."""
    score: Callable[[str], float]
    """How right an answer is, 0 to 1."""
    max_tokens: int
    groups: Mapping[str, str] = field(default_factory=dict)
    """What it belongs to, by kind of group: category, dataset, task, split, ..."""
    choices: tuple[str, ...] | None = None
    """What the answer is bound to; None where the model may say anything."""


@dataclass(frozen=True)
class Item:
    """Pictures and what is asked about them. Each question is asked by itself, with nothing said before."""

    cluster: str
    """What is drawn as one when intervals are bootstrapped: questions about one picture are not independent."""
    pictures: tuple[PictureSource, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Scored:
    """A question that was answered."""

    question: Question
    cluster: str
    answer: str
    score: float

    def group(self, kind: str) -> str:
        """The question's group of a kind, empty where it has none."""
        return self.question.groups.get(kind, "")


@dataclass(frozen=True)
class Line:
    """One line of a suite's table: values 0 to 1, and what is resampled as one."""

    level: str
    """all, category, dataset, task, ... or rule: a benchmark's own figure."""
    name: str
    values: tuple[float, ...]
    clusters: tuple[str, ...]
    """Of each value."""
    scale: float = 100.0
    """What a mean of 1 is reported as."""
    unit: str = "%"


@dataclass(frozen=True)
class Suite:
    """Questions that are scored together."""

    name: str
    items: int
    """How many there are."""
    draw: Callable[[], Iterable[Item]]
    """Gives the items one by one, the same ones each time."""
    lines: Callable[[Sequence[Scored]], list[Line]]
    """The lines of its table."""
    interval: str = "bootstrap"
    """`bootstrap`, or `wilson` where every question counts by itself."""
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know."""
