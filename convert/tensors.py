"""A checkpoint's tensors against the tables: what does not fit, and what is left out on purpose."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from magicvl.convert.checkpoint import DTYPES, StoredTensor, widen
from magicvl.convert.layout import Array, to_gguf
from magicvl.convert.source import Source
from magicvl.mmproj.contract import Tensor


@dataclass(frozen=True)
class Loader:
    """Reads one tensor of a checkpoint in GGUF's layout when it is called."""

    stored: StoredTensor
    tensor: Tensor
    sizes: Mapping[str, int]
    """What the layouts need: patch, heads, kv_heads."""

    def __call__(self) -> Array:
        """The numbers, in the checkpoint's type (BF16 as float32)."""
        return to_gguf(self.stored.read(), self.tensor.layout, self.sizes)


def blocks(stored: StoredTensor, count: int) -> Iterator[Array]:
    """A stored tensor as float32 blocks of rows, of about `count` numbers each, so that no more is in memory."""
    if not stored.shape:
        yield np.asarray(stored.read(), dtype=np.float32).reshape(1)
        return
    step = max(1, count // max(1, math.prod(stored.shape[1:])))
    for begin in range(0, stored.shape[0], step):
        block = stored.raw(begin, min(begin + step, stored.shape[0]))
        yield np.asarray(widen(block), dtype=np.float32)


def left_out(source: Source) -> list[str]:
    """The tensors that are there and that the bundle leaves out on purpose."""
    prefixes = tuple(rule.prefix for rule in source.dropped)
    names = {tensor.source for tensor in source.tensors}
    return sorted(name for name in source.stored if name not in names and name.startswith(prefixes))


def tensor_problems(source: Source) -> list[str]:
    """One problem for all missing tensors, one for all extra ones, and so on; empty where everything fits."""
    there, due = source.stored, source.tensors
    names = {tensor.source for tensor in due}
    found = {
        "missing": [tensor.source for tensor in due if tensor.source not in there],
        "extra": sorted(set(there) - names - set(left_out(source))),
        "misshapen": _misshapen(there, due),
        "of a type that cannot be read": _unreadable(there, due),
    }
    return [listing(what, listed) for what, listed in found.items() if listed]


def listing(what: str, names: Iterable[str]) -> str:
    """`2 missing: a, b`, with every name: whoever has to mend it needs them all."""
    names = list(names)
    return f"{len(names)} {what}: {', '.join(names)}"


def _misshapen(there: Mapping[str, StoredTensor], due: Iterable[Tensor]) -> list[str]:
    return [
        f"{tensor.source} {_sides(there[tensor.source].shape)} instead of {_sides(tensor.shape)}"
        for tensor in due
        if tensor.source in there and there[tensor.source].shape != tensor.shape
    ]


def _unreadable(there: Mapping[str, StoredTensor], due: Iterable[Tensor]) -> list[str]:
    return [
        f"{tensor.source} ({there[tensor.source].dtype})"
        for tensor in due
        if tensor.source in there and there[tensor.source].dtype not in DTYPES
    ]


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
