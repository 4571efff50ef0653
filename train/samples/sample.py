"""One training or test sample: pictures, what is said about them, and the truth about both where it is known."""

from dataclasses import dataclass
from typing import Literal, get_args

from magicvl.edge.pixels import PictureSource
from magicvl.errors import UsageError

Category = Literal["reasoning", "gui", "ocr", "text", "chart", "caption", "vqa", "grounding"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
"""The eight task categories of MagicVL-2B (arXiv 2508.01540); `text` has no pictures."""

Metric = Literal["exact", "anls", "relaxed", "cer", "iou", "f1"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""How an answer is scored: exact match, ANLS (DocVQA), relaxed accuracy (ChartQA), character error rate, IoU at 0.5,
F1 of the words."""


@dataclass(frozen=True)
class Turn:
    """What the user says and what is answered."""

    prompt: str
    answer: str
    metric: Metric = "exact"
    task: str = ""
    """A finer name than the category, for tables: count, relation, naming, total, ..."""
    others: tuple[str, ...] = ()
    """Other right answers."""


@dataclass(frozen=True)
class Box:
    """Where something is, in px of its picture as it is opened (upright)."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    kind: Literal["object", "text"] = "object"
    """`text`: the label is what is printed there."""
    picture: int = 0
    """Which of the sample's pictures."""


@dataclass(frozen=True)
class Event:
    """What happens in a video and when, in seconds."""

    label: str
    begin: float
    end: float


@dataclass(frozen=True)
class Sample:
    """A conversation about some pictures."""

    id: str
    """Unique in its source."""
    category: Category
    source: str
    """The dataset that it comes from; generated ones are called `generated/<what>`."""
    pictures: tuple[PictureSource, ...]
    """Paths, bytes of files, or Pillow images; opened by `magicvl.edge.pixels.open_picture` when they are needed."""
    turns: tuple[Turn, ...]
    """At least one. The pictures stand before the words of the first."""
    boxes: tuple[Box, ...] | None = None
    """Every object and every printed line, where the source knows them; None where it does not."""
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise UsageError(f"sample {self.id}: category {self.category!r}; there are {', '.join(CATEGORIES)}")
        if not self.turns:
            raise UsageError(f"sample {self.id}: it has no turns; at least one is needed")
