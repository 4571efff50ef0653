"""Which events a caption tells, by words and a sentence embedding: the judge where no language model is good enough.

Caption and events are cut into who does what (magicvl.train.rewards.frames). A clause tells an event where

    the actors agree    nothing beyond the event's; the same noun and most other words, or a like name by the embedding
    the deeds agree     nothing beyond the event's; the same verb and most other words, or a like deed by the embedding

Beyond is what stands in a set of contrasts (magicvl.train.rewards.contrast) beside the event's own word: swapped
actors, another colour and another direction are no match, however near the embedding finds the sentences. Nor is a
clause that leaves a colour or a side open which the event names.

Against captions that list whatever might be: a clause tells one event at most and may not be much longer than it, and
told events count only as far as they come in order (the longest run).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from magicvl.train.rewards.contrast import beyond, lacks
from magicvl.train.rewards.embedding import Embedder
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.frames import Frame, Said, event_frames, frames, head

Bits = npt.NDArray[np.bool_]

ACTOR_SHARE = 0.6
"""Words of an event's actor that the clause's has to have."""
DEED_SHARE = 0.6
"""Words of an event's deed, the verb counted twice."""
ACTOR_LIKE = 0.7
"""Cosine from which two names of different nouns mean the same."""
DEED_LIKE = 0.6
"""Cosine from which two deeds mean the same. Both were chosen on every second film of planted.json."""
VERB_WEIGHT = 2
"""Of the verb, beside another word of a deed."""
LONGER = 5
"""Words that a name or a deed may have more than twice the event's."""
MUTUAL = frozenset({"meet"})
"""What two do with each other."""


class WordEntailer:
    """Says by rules which events a caption tells; `embedder=None` by words alone."""

    def __init__(self, embedder: Embedder | None = None, *, ordered: bool = True) -> None:
        """`ordered=False` takes events in any order."""
        self._embedder = embedder
        self._ordered = ordered

    @property
    def name(self) -> str:
        """What it is, for reports: it is no language model, and says so."""
        return f"words{' and embedding' if self._embedder else ''} (no language model)"

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        """One verdict an event, for each caption."""
        both = [(event_frames(each.events), frames(each.caption)) for each in asked]
        if self._embedder is not None:
            # All at once: a text at a time would take several times as long.
            every = (part for sides in both for side in sides for each in side for part in (each.actor, each.deed))
            self._embedder.vectors([_text(part) for part in every if part])
        return [self._verdicts(events, said) for events, said in both]

    def _verdicts(self, events: Sequence[Frame], said: Sequence[Frame]) -> tuple[bool, ...]:
        tells = np.array([[self._tells(clause, event) for clause in said] for event in events], bool)
        tells = tells.reshape(len(events), len(said))
        return _longest_run(tells) if self._ordered else _most(tells)

    def _tells(self, clause: Frame, event: Frame) -> bool:
        mutual = bool(clause.deed) and clause.deed[0].meaning in MUTUAL
        return any(
            self._same_actor(each.actor, event.actor) and self._same_deed(each.deed, event.deed)
            for each in ([clause, _turned(clause)] if mutual else [clause])
        )

    def _same_actor(self, said: Said, true: Said) -> bool:
        if not true:
            return True
        if not said or _other(said, true):
            return False
        same = head(said).meaning == head(true).meaning and _share(said, true, 1) >= ACTOR_SHARE
        return same or self._like(said, true) >= ACTOR_LIKE

    def _same_deed(self, said: Said, true: Said) -> bool:
        if not said or not true or _other(said, true):
            return False
        same = said[0].meaning == true[0].meaning and _share(said, true, VERB_WEIGHT) >= DEED_SHARE
        return same or self._like(said, true) >= DEED_LIKE

    def _like(self, said: Said, true: Said) -> float:
        if self._embedder is None:
            return 0.0
        first, second = self._embedder.vectors([_text(said), _text(true)])
        return float(first @ second)


def _other(said: Said, true: Said) -> bool:
    """Whether something else is said, more than can be meant, or too little."""
    return len(said) > 2 * len(true) + LONGER or beyond(said, true) or lacks(said, true)


def _turned(clause: Frame) -> Frame:
    """`A meets B` as `B meets A`."""
    return Frame(clause.deed[1:], (clause.deed[0], *clause.actor))


def _text(said: Said) -> str:
    return " ".join(word.text for word in said)


def _share(said: Said, true: Said, first: int) -> float:
    """Share of the true words that were said; the first of them has the weight `first`."""
    have = {word.meaning for word in said}
    had = sum(word.meaning in have for word in true[1:]) + first * (true[0].meaning in have)
    return had / (len(true) - 1 + first)


def _longest_run(tells: Bits) -> tuple[bool, ...]:
    """The most events that clauses tell one by one, both in order (a longest common subsequence)."""
    rows, columns = tells.shape
    best = np.zeros((rows + 1, columns + 1), np.int64)
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            best[i, j] = max(best[i + 1, j], best[i, j + 1], best[i + 1, j + 1] + tells[i, j])
    told, i, j = [False] * rows, 0, 0
    while i < rows and j < columns:
        if tells[i, j] and best[i, j] == best[i + 1, j + 1] + 1:
            told[i] = True
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return tuple(told)


def _most(tells: Bits) -> tuple[bool, ...]:
    """The most events that clauses tell one by one, in any order."""
    told = [False] * len(tells)
    for row, column in zip(*linear_sum_assignment(tells, maximize=True), strict=True):
        told[row] = bool(tells[row, column])
    return tuple(told)
