"""What a stored tensor holds, in one cheap pass: all zero, NaN, infinite, and its largest number.

Without its sign, a float's bits grow with its size, and infinity lies above every finite number and NaN
above infinity. So one maximum over integers answers all four questions, for every type.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from magicvl.convert.checkpoint import StoredTensor

CHUNK = 2**22
"""Bytes that are in memory at once."""


@dataclass(frozen=True)
class _Bits:
    """How a type spells its numbers."""

    kind: str
    """NumPy's unsigned integer of the same size."""
    magnitude: int
    """Everything but the sign."""
    infinity: int


_BITS = {
    "F32": _Bits("<u4", 0x7FFFFFFF, 0x7F800000),
    "F16": _Bits("<u2", 0x7FFF, 0x7C00),
    "BF16": _Bits("<u2", 0x7FFF, 0x7F80),
}


def largest(tensor: StoredTensor) -> float:
    """The largest absolute value: 0 where all are zero, infinity or NaN where there is one (NaN wins).

    The type must be one of those that can be read. An empty tensor gives 0.
    """
    bits = _BITS[tensor.dtype]
    most = _most(tensor.file, tensor.offset, tensor.size, bits)
    if most >= bits.infinity:
        return math.nan if most > bits.infinity else math.inf
    if tensor.dtype == "BF16":
        most <<= 16
    stored, wide = ("<u2", "<f2") if tensor.dtype == "F16" else ("<u4", "<f4")
    return float(np.array([most], dtype=stored).view(wide)[0])


def _most(path: Path, offset: int, size: int, bits: _Bits) -> int:
    buffer = np.empty(min(CHUNK, max(size, 1)), dtype=np.uint8)
    most = 0
    with path.open("rb") as file:
        file.seek(offset)
        while size > 0:
            count = file.readinto(buffer[: min(size, len(buffer))].data)
            numbers = buffer[:count].view(bits.kind)
            np.bitwise_and(numbers, bits.magnitude, out=numbers)
            most = max(most, int(numbers.max()))
            size -= count
    return most
