"""Normalising: from a term's raw values to 0..1, by the values of all datasets.

The paper says "normalised" and no more. `rank` is the default: perplexity is the exponential of a loss, and densities
are shares of pictures whose areas differ a hundredfold, so with `minmax` one dataset far out takes one end, all others
crowd at the other, and the term says nothing about them. A rank asks only what the cut asks: which of two datasets is
the denser one. What it costs: how far two neighbours are apart is lost.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from magicvl.errors import UsageError

Normalisation = Literal["rank", "minmax"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
MIDDLE = 0.5
"""What all get where there is nothing to tell them apart."""


@dataclass(frozen=True)
class Scale:
    """A map that never falls, made of the datasets' values; a sample's value in between is interpolated.

    Below the lowest dataset is 0, above the highest 1.
    """

    values: tuple[float, ...]
    """Of the datasets, rising, none twice."""
    shares: tuple[float, ...]
    """What each becomes, rising from 0 to 1."""

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.shares):
            raise ValueError(f"{len(self.values)} values for {len(self.shares)} shares")
        for numbers in (self.values, self.shares):
            if any(after <= before for before, after in pairwise(numbers)):
                raise ValueError("values and shares must rise")

    def __call__(self, value: float) -> float:
        """The share of a raw value, 0 to 1."""
        if len(self.values) == 1:
            return MIDDLE
        above = bisect.bisect_left(self.values, value)
        if above == 0:
            return self.shares[0]
        if above == len(self.values):
            return self.shares[-1]
        low, high = self.values[above - 1], self.values[above]
        left, right = self.shares[above - 1], self.shares[above]
        return min(right, left + (right - left) * ((value - low) / (high - low)))


def make_scale(values: Sequence[float], how: Normalisation) -> Scale:
    """The scale of datasets with these values, one at least. Raises UsageError for a normalisation that is not known.

    `rank`: the place among the others from 0 to 1, equal values in the middle of their places, stretched so that
    the ends are 0 and 1. `minmax`: the distance from the lowest over that of the highest.
    """
    if how not in NORMALISATIONS:
        raise UsageError(f"normalisation {how!r}: there are {', '.join(NORMALISATIONS)}")
    different = tuple(sorted(set(values)))
    if len(different) == 1:
        return Scale(different, (MIDDLE,))
    if how == "minmax":
        return Scale((different[0], different[-1]), (0.0, 1.0))
    ordered = sorted(values)
    places = [(bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value) - 1) / 2 for value in different]
    first, span = places[0], places[-1] - places[0]
    return Scale(different, tuple((place - first) / span for place in places))
