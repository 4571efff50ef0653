"""Whether the models of S_task can be compared: growing, and with one vocabulary. Needs no torch."""

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from magicvl.convert.checkpoint import open_checkpoint, read_json
from magicvl.errors import UsageError


def check_sizes(models: Sequence[Path]) -> list[int]:
    """The parameters of each checkpoint, rising; empty for no models.

    Raises UsageError for one model or more than three, for an order that does not rise, and for different vocabularies:
    a loss a token says something beside another only where the tokens are the same. CheckpointError for no checkpoint.
    """
    if not models:
        return []
    if len(models) not in (2, 3):
        raise UsageError(f"{len(models)} --models: S_task compares two sizes or three; name them from small to large")
    sizes = [sum(math.prod(tensor.shape) for tensor in open_checkpoint(model).tensors.values()) for model in models]
    told = ", ".join(f"{model.name} {size / 1e6:,.1f} M" for model, size in zip(models, sizes, strict=True))
    if any(after <= before for before, after in pairwise(sizes)):
        raise UsageError(f"--models {told}: they must grow; name the smallest first")
    if len({_vocabulary(model) for model in models}) > 1:
        raise UsageError(f"--models {told}: their vocabularies differ, so nats a token cannot be compared")
    return sizes


def _vocabulary(model: Path) -> str:
    """A hash of the words of its tokenizer."""
    words = read_json(model / "tokenizer.json").get("model", {})
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()
