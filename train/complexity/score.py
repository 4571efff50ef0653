"""The three scores and their sum, from raw terms (MagicVL-2B, arXiv 2508.01540):

    S_text = (L + T + P) / 3    S_image = (E + D_text + D_obj) / 3    S_task = (C(small, mid) + C(mid, large)) / 2
    S = l1 * S_text + l2 * S_image + l3 * S_task

L, T, P, E and the densities normalised over the datasets; C is a share as it is. A term that a dataset lacks is left
out of its mean, a score that it lacks out of its sum: the weights of the others then make up 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magicvl.train.complexity.scale import Scale, make_scale
from magicvl.train.complexity.settings import Settings
from magicvl.train.complexity.terms import IMAGE_TERMS, TEXT_TERMS, Terms, mean
from magicvl.train.samples.sample import Category


@dataclass(frozen=True)
class Scores:
    """Of a dataset or a sample, each 0 to 1."""

    text: float
    image: float | None
    """None without pictures."""
    task: float | None
    """None without losses of two models."""
    total: float


class Scorer:
    """Scores terms by the scales of some datasets."""

    def __init__(self, datasets: Sequence[Terms], settings: Settings) -> None:
        """`datasets` are means, see `mean_terms`; their order does not matter."""
        self._settings = settings
        self._scales = _scales(datasets, settings)

    def __call__(self, category: Category, terms: Terms) -> Scores:
        """The scores of a dataset's means, or of one sample beside the datasets."""
        text = self._normalised_mean(terms, TEXT_TERMS)
        image = self._normalised_mean(terms, IMAGE_TERMS)
        weights = self._settings.weights[category]
        parts = [(weights.text, text), (weights.image, image), (weights.task, terms.task)]
        there = [(weight, value) for weight, value in parts if value is not None]
        whole = sum(weight for weight, _ in there)
        # Nothing at all is left of a sample without an answer, and image alone may weigh nothing.
        total = sum(weight * value for weight, value in there) / whole if whole else 0.0
        return Scores(0.0 if text is None else text, image, terms.task, min(1.0, total))

    def _normalised_mean(self, terms: Terms, names: Sequence[str]) -> float | None:
        raw = {name: getattr(terms, name) for name in names if name in self._scales}
        return mean([self._scales[name](value) for name, value in raw.items() if value is not None])


def _scales(datasets: Sequence[Terms], settings: Settings) -> Mapping[str, Scale]:
    """A scale of each term that any dataset has."""
    scales: dict[str, Scale] = {}
    for name in (*TEXT_TERMS, *IMAGE_TERMS):
        values = [value for terms in datasets if (value := getattr(terms, name)) is not None]
        if values:
            scales[name] = make_scale(values, settings.normalisation)
    return scales
