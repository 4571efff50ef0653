"""Event F1 in the manner of AutoDQ (DREAM-1K, arXiv 2407.00634), and with it the action F1 of CaReBench.

    recall      share of the true events that the caption tells
    precision   share of the events in the caption that the true caption tells

As there, what the other side leaves open counts as not told. A caption without events has precision 0; AutoDQ gives it
1, which would pay for silence in the mean over films.
"""

from collections.abc import Callable
from dataclasses import dataclass

from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.part import Found, Told, Verdict, share
from magicvl.train.rewards.event_score import Asked, Entailer
from magicvl.train.rewards.reference import Reference

Extract = Callable[[str], tuple[str, ...]]
"""The events in a caption."""


@dataclass(frozen=True)
class ToldPart:
    """Precision and recall of events."""

    kind: str
    """What verdicts call an event."""
    columns: tuple[str, str]
    """Precision and recall."""
    entailer: Entailer
    extract: Extract

    def __call__(self, item: VideoItem, told: Told) -> Found:
        """Both, and each event with its verdict. What the source does not list is taken from its caption."""
        true = told.reference.events or self.extract(told.reference.caption)
        if not true:
            return Found({})
        said = self.extract(told.caption) if told.caption else ()
        return both_ways(self.entailer, self.kind, self.columns, told, (said, true))


def both_ways(
    entailer: Entailer, kind: str, columns: tuple[str, str], told: Told, lists: tuple[tuple[str, ...], tuple[str, ...]]
) -> Found:
    """Precision and recall of two lists, what was said and what is true, by the caption of the other side."""
    said, true = lists
    asked = [Asked(caption, things) for caption, things in ((truth_of(told.reference), said), (told.caption, true))]
    open_ones = [each for each in asked if each.caption and each.events]
    answers = iter(entailer.entails(open_ones))
    precise, recalled = (
        next(answers) if each.caption and each.events else (False,) * len(each.events) for each in asked
    )
    verdicts = [
        Verdict(kind, text, ours, right)
        for ours, things, rights in ((True, said, precise), (False, true, recalled))
        for text, right in zip(things, rights, strict=True)
    ]
    return Found({columns[0]: share(precise), columns[1]: share(recalled)}, tuple(verdicts))


def truth_of(reference: Reference) -> str:
    """The true caption, made of the events where there is none."""
    return reference.caption or " ".join(f"{event.rstrip('.')}." for event in reference.events)
