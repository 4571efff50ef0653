"""Texts that say the same: MinHash (datasketch) of their pieces."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from datasketch import MinHash

from magicvl.train.filters.thresholds import Thresholds

Signature = npt.NDArray[np.uint32]
"""A text's smallest hashes, shape (permutations,)."""

SCHEME = "affine32"
MOST_CHARACTERS = 20_000
"""Of a text that are compared."""

_GAP = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """The words of a text alone; where it has none, the text."""
    return _GAP.sub(" ", text[:MOST_CHARACTERS].casefold()).strip() or text.strip()


def signature(text: str, line: Thresholds) -> Signature:
    """The MinHash of a long text's pieces; of a short one's words as one piece, so that only equal ones are alike."""
    words = normalised(text)
    if words.count(" ") + 1 < line.long_text:
        return _hashed([words], line.permutations)
    count = max(1, len(words) - line.shingle + 1)
    return _hashed({words[begin : begin + line.shingle] for begin in range(count)}, line.permutations)


def alike(one: Signature, other: Signature) -> float:
    """The estimated share of pieces in common."""
    return float(np.mean(one == other))


def as_minhash(values: Signature) -> Any:
    """The signature as datasketch's indexes take it."""
    return MinHash(hashvalues=values, permutations=_permutations(len(values)), scheme=SCHEME)


def _hashed(pieces: Iterable[str], permutations: int) -> Signature:
    made = MinHash(permutations, permutations=_permutations(permutations), scheme=SCHEME)
    made.update_batch([piece.encode() for piece in pieces])
    values: Signature = made.hashvalues
    return values


@cache
def _permutations(count: int) -> Any:
    return MinHash(count, scheme=SCHEME).permutations
