"""What the think part is worth: its subjects, attributes and actions against the true ones, without a language model.

1. Two phrases mean the same where their similarity reaches the threshold (magicvl.train.rewards.similarity).
2. Subjects are paired one to one, so that most of their names and attributes agree (the assignment problem, solved
   exactly); where that leaves a choice, their actions decide. A pair has to agree in the name, or in at least half of
   name and attributes.
3. In each pair attributes are matched one to one, and actions too.
4. A subject's name counts as one of its attributes, so that no subject is free. Whatever has no partner costs: extra
   subjects and what is said of them precision, missing ones recall, and so does a phrase that is said twice.

The value is the mean of both F1. Times of actions are not scored: the paper's annotations have none.
The paper (arXiv 2506.01725) does not publish its matching rule; this one is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from magicvl.edge.video.description import Description, Subject
from magicvl.errors import SampleError
from magicvl.train.rewards.f1 import F1
from magicvl.train.rewards.reference import Reference
from magicvl.train.rewards.similarity import Similarity, Table

ACTION_WEIGHT = 1e-3
"""Of an action that agrees, beside a name or an attribute that does: no number of actions outweighs one of those."""
LEAST_SHARE = 0.5
"""Of name and attributes, for subjects of different names."""


@dataclass(frozen=True)
class ThinkScore:
    """How well the subjects were seen."""

    attributes: F1
    """Names among them."""
    actions: F1

    @property
    def value(self) -> float:
        """Mean of both F1."""
        return (self.attributes.value + self.actions.value) / 2


@dataclass(frozen=True)
class _Pair:
    """What two subjects have in common."""

    identity: int
    """Name and attributes that agree; 0 where the two cannot be the same."""
    actions: int


def think_score(description: Description, reference: Reference, similarity: Similarity) -> ThinkScore:
    """Compares the subjects of a description with the true ones. Raises SampleError for a reference without any."""
    if not reference.subjects:
        raise SampleError("a reference without subjects; the think score needs at least one")
    said, true = description.subjects, reference.subjects
    pairs = [[_compare(ours, theirs, similarity) for theirs in true] for ours in said]
    weights = np.array([[each.identity + ACTION_WEIGHT * each.actions for each in row] for row in pairs])
    chosen = [pairs[row][column] for row, column in _assign(weights.reshape(len(said), len(true)))]
    return ThinkScore(
        F1(sum(each.identity for each in chosen), _identity_size(said), _identity_size(true)),
        F1(sum(each.actions for each in chosen), _action_size(said), _action_size(true)),
    )


def matches(said: Sequence[str], true: Sequence[str], similarity: Similarity) -> int:
    """How many phrases mean the same, each matched with one at most: the largest number that there is."""
    if not said or not true:
        return 0
    alike = similarity.table(said, true) >= similarity.threshold
    return sum(bool(alike[row, column]) for row, column in _assign(alike.astype(np.float64)))


def _compare(ours: Subject, theirs: Subject, similarity: Similarity) -> _Pair:
    name = matches([ours.name], [theirs.name], similarity)
    identity = name + matches(ours.attributes, theirs.attributes, similarity)
    if not name and identity < LEAST_SHARE * (1 + max(len(ours.attributes), len(theirs.attributes))):
        return _Pair(0, 0)
    actions = matches([each.action for each in ours.actions], [each.action for each in theirs.actions], similarity)
    return _Pair(identity, actions)


def _assign(weights: Table) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _identity_size(subjects: Sequence[Subject]) -> int:
    return sum(1 + len(each.attributes) for each in subjects)


def _action_size(subjects: Sequence[Subject]) -> int:
    return sum(len(each.actions) for each in subjects)
