"""What is counted in one sample: the raw terms of complexity (MagicVL-2B, arXiv 2508.01540), nothing normalised yet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from PIL import Image


@dataclass(frozen=True)
class Terms:
    """The terms of a sample, or their means over a dataset; None where there is nothing to count one from."""

    length: float | None
    """Tokens of an answer, mean over the sample's answers."""
    diversity: float | None
    """Type-token ratio of prompt and answer together: different tokens over tokens, 0 to 1."""
    perplexity: float | None
    """Of an answer, given all that was said before it; at most the number of words in the vocabulary."""
    entropy: float | None
    """Of the grey picture's histogram, in bits, 0 to 8."""
    text_density: float | None
    """Tokens of printed text a px."""
    object_density: float | None
    """Objects a px."""
    task: float | None = None
    """Share of the pairs of neighbouring model sizes where the larger one is clearly better and not yet done, see
    `gap_share`."""


NAMES = tuple(field.name for field in fields(Terms))
TEXT_TERMS = ("length", "diversity", "perplexity")
IMAGE_TERMS = ("entropy", "text_density", "object_density")


def type_token_ratio(tokens: Sequence[int]) -> float | None:
    """Different tokens over tokens; None for no tokens."""
    return len(set(tokens)) / len(tokens) if tokens else None


def perplexity(nats: float, tokens: int, words: int) -> float | None:
    """e to the mean loss of `tokens` tokens whose losses add up to `nats`; None for no tokens.

    At most the number of `words` in the vocabulary, which is what blind guessing has. Without that bound a single
    answer that the LLM was sure would be otherwise outweighs hundreds in a dataset's mean.
    """
    return min(math.exp(min(nats / tokens, math.log(words))), float(words)) if tokens else None


def grey_entropy(picture: Image.Image) -> float:
    """Shannon entropy in bits of the histogram of 256 greys (ITU-R 601 luma, as Pillow converts)."""
    counts = [count for count in picture.convert("L").histogram() if count]
    total = sum(counts)
    return math.fsum(count / total * math.log2(total / count) for count in counts)


def gap_share(losses: Sequence[float], beta: float, delta: float) -> float | None:
    """Share of the neighbouring pairs (small, large) with `loss_s > beta * loss_l > delta`; None below two models.

    `losses` are nats a token of one sample, the smallest model first. The mean over a dataset's samples is the
    paper's S_task: the mean over the pairs of C, the share of samples that fulfil it.
    """
    pairs = list(pairwise(losses))
    if not pairs:
        return None
    return sum(small > beta * large > delta for small, large in pairs) / len(pairs)


def mean_terms(samples: Sequence[Terms]) -> Terms:
    """The mean of every term over the samples that have it, the same in any order."""
    return Terms(**{name: mean([getattr(sample, name) for sample in samples]) for name in NAMES})


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there, None where none is; exact, so that the order does not matter."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None
