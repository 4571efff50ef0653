"""How alike two short phrases are, 0 to 1: names, attributes and actions of a film's subjects.

    exact       the same words                                                            1
    lemma       the same words but for their endings, or words of one meaning             1
    opposite    words of one set that differ (red and blue, left and right, not and not not)    0
    vague       a colour or a side is left open that the other one names ("moves", "moves left")   0
    else        the share of words that both have; with an embedding the cosine where that is higher

What is opposite is decided by words (magicvl.train.rewards.contrast) and not by the embedding, which finds "moves left"
and "moves right" nearly the same.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from magicvl.train.rewards.contrast import lacks, opposed
from magicvl.train.rewards.words import Word, content

Table = npt.NDArray[np.float64]
Said = tuple[Word, ...]


class Similarity(Protocol):
    """Compares each of some phrases with each of others."""

    @property
    def threshold(self) -> float:
        """From which two phrases mean the same."""

    def table(self, said: Sequence[str], true: Sequence[str]) -> Table:
        """Similarities in [0, 1], shape (said, true)."""


class LemmaSimilarity:
    """By words alone: no model, no waiting."""

    threshold = 0.65

    def table(self, said: Sequence[str], true: Sequence[str]) -> Table:
        """Similarities in [0, 1], shape (said, true)."""
        found = np.array([[shared(a, b) for b in map(content, true)] for a in map(content, said)], np.float64)
        return found.reshape(len(said), len(true))


@lru_cache(maxsize=100_000)
def comparable(said: Said, true: Said) -> bool:
    """Whether two phrases can mean the same: neither opposites, nor one of them vague."""
    return not opposed(said, true) and not lacks(said, true) and not lacks(true, said)


@lru_cache(maxsize=100_000)
def shared(said: Said, true: Said) -> float:
    """Share of the words that both have (Dice); 0 where they cannot mean the same, and where one has no words."""
    if not said or not true or not comparable(said, true):
        return 0.0
    ours, theirs = (Counter(word.meaning for word in side) for side in (said, true))
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
