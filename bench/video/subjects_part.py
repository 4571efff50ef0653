"""Action and object F1 of the subjects that a model lists, against the true ones.

Subjects are paired and their attributes and actions matched one to one, as the think score does it
(magicvl.train.rewards.think_score); a subject's name counts as one of its attributes. CaReBench takes its lists of
actions and objects out of captions instead (objects_part.py): our clips tell who does what, so nothing has to be
guessed.
"""

from dataclasses import dataclass

from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import ACTIONS, OBJECTS
from magicvl.bench.video.part import Found, Told
from magicvl.edge.video.description import Description
from magicvl.train.rewards.f1 import F1
from magicvl.train.rewards.similarity import Similarity
from magicvl.train.rewards.think_score import think_score


@dataclass(frozen=True)
class SubjectsPart:
    """Precision and recall of attributes and of actions."""

    similarity: Similarity

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """Nothing for a caption alone, or where the source names no subjects; no description is worth 0."""
        if told.plain or not told.reference.subjects:
            return Found({})
        described = told.description or Description((), "")
        score = think_score(described, told.reference, self.similarity)
        return Found(_columns(OBJECTS, score.attributes) | _columns(ACTIONS, score.actions))


def _columns(names: tuple[str, str], counted: F1) -> dict[str, float]:
    """Precision and recall; nothing where there is nothing to be said."""
    if not counted.true:
        return {}
    return {names[0]: counted.hits / counted.said if counted.said else 0.0, names[1]: counted.hits / counted.true}
