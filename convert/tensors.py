"""A checkpoint's tensors against the tables: all of them fit, or nothing is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from magicvl.convert.checkpoint import DTYPES, StoredTensor
from magicvl.convert.layout import Array, to_gguf
from magicvl.convert.source import Source
from magicvl.errors import CheckpointError
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


def check_tensors(source: Source) -> list[str]:
    """Raises CheckpointError that lists all missing, extra, misshapen and unreadable tensors at once.

    Gives the names that are left out on purpose.
    """
    there, due, dropped = source.stored, source.tensors, source.dropped
    prefixes = tuple(rule.prefix for rule in dropped)
    names = {tensor.source for tensor in due}
    left_out = sorted(name for name in there if name not in names and name.startswith(prefixes))
    found = {
        "missing": [tensor.source for tensor in due if tensor.source not in there],
        "extra": sorted(set(there) - names - set(left_out)),
        "misshapen": _misshapen(there, due),
        "of a type that cannot be read": _unreadable(there, due),
    }
    if any(found.values()):
        parts = [f"{len(listed)} {what}: {', '.join(listed)}" for what, listed in found.items() if listed]
        raise CheckpointError(f"{source.directory}: the tensors do not fit the configuration; {'; '.join(parts)}")
    return left_out


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
