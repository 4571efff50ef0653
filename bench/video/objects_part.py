"""Object F1 in the manner of CaReBench (arXiv 2501.00513): objects as events are scored, by the other side's caption.

What a model saw are the subjects that it lists, each with its attributes: `a red circle`. A caption alone has no such
list, and only recall.
"""

from dataclasses import dataclass

from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import OBJECTS
from magicvl.bench.video.part import Found, Told
from magicvl.bench.video.told_part import both_ways
from magicvl.edge.video.description import Description
from magicvl.train.rewards.event_score import Entailer


@dataclass(frozen=True)
class ObjectsPart:
    """Precision and recall of objects."""

    entailer: Entailer

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """Nothing where the source lists no objects."""
        if not item.objects:
            return Found({})
        said = () if told.description is None else seen_objects(told.description)
        found = both_ways(self.entailer, "object", OBJECTS, told, (said, item.objects))
        return Found({OBJECTS[1]: found.columns[OBJECTS[1]]}, found.verdicts) if told.plain else found


def seen_objects(description: Description) -> tuple[str, ...]:
    """The subjects as phrases, each once."""
    return tuple(dict.fromkeys(" ".join((*each.attributes, each.name)) for each in description.subjects))
