"""The cut of a category into low and high complexity, at the median sample.

The paper cuts too and does not say where; its stages see 10 M low and 23 M high captions, 54 M low and 66 M high of the
other tasks: neither level is small. So the cut is the one between two datasets that leaves the samples on both sides
most nearly equal. Otsu's cut, where the scores part best, was the other choice: it likes to take one far dataset off
alone, and a stage would starve.

A category with one dataset, or whose datasets all score the same, is low: nothing in it is known to be denser than
anything else, and what is low is taught first.
"""

from collections.abc import Sequence
from itertools import pairwise


def cut(datasets: Sequence[tuple[float, float]]) -> float | None:
    """The score up to which a dataset is low, half way between two; None where all are.

    `datasets` are pairs of score and weight, such as samples. Datasets of one score stay together. Of two cuts that
    are as good the lower one is taken, so that more is left for the last stage.
    """
    scores = sorted({score for score, _ in datasets})
    if len(scores) < 2:
        return None
    everything = sum(weight for _, weight in datasets)

    def imbalance(highest_low: float) -> float:
        low = sum(weight for score, weight in sorted(datasets) if score <= highest_low)
        return abs(everything - 2 * low)

    below, above = min(pairwise(scores), key=lambda neighbours: imbalance(neighbours[0]))
    middle = (below + above) / 2
    # Two neighbouring numbers have nothing between them.
    return middle if middle < above else below
