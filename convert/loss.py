"""What a file's types cost: the relative error of each tensor against the checkpoint.

The numbers come back by ggml's own functions, the ones that the runtime multiplies with: exact for every type
and several hundred times faster than NumPy would be for the K types.
"""

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod, sqrt
from typing import Any

import gguf
import numpy as np

from magicvl.convert.decoder import decoder_sizes, decoder_tensors
from magicvl.convert.layout import Array, to_gguf
from magicvl.convert.source import Source
from magicvl.convert.tensors import blocks
from magicvl.edge.ggml import ggml
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.gguf_check import Tensor as Written
from magicvl.errors import BundleError
from magicvl.mmproj.contract import Layout, Tensor

CHUNK = 2**20
"""Numbers that are compared at once."""
_PLAIN = {"F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class Loss:
    """One tensor of a file."""

    name: str
    """In the GGUF file."""
    source: str
    """In the checkpoint."""
    type: str
    bytes: int
    error: float
    """Root mean square of the difference over that of the source; 0 where every number is as it was."""


def losses(source: Source, llm: GgufFile, mmproj: GgufFile) -> dict[str, list[Loss]]:
    """The loss of every tensor of both halves, worst first. Raises BundleError for a tensor that is not there."""
    halves = {
        "llm": (llm, decoder_tensors(source.decoder), decoder_sizes(source.decoder)),
        "mmproj": (mmproj, source.vision_tensors, {"patch": source.vision.patch}),
    }
    return {
        role: sorted(_losses(source, file, tensors, sizes), key=lambda loss: (-loss.error, loss.name))
        for role, (file, tensors, sizes) in halves.items()
    }


def _losses(source: Source, file: GgufFile, tensors: Iterable[Tensor], sizes: Mapping[str, int]) -> Iterator[Loss]:
    for tensor in tensors:
        if (written := file.tensors.get(tensor.target)) is None:
            raise BundleError(f"{file.path}: tensor {tensor.target} is missing")
        stored = source.stored[tensor.source]
        if tensor.layout is Layout.SAME:
            numbers: Iterable[Array] = blocks(stored, CHUNK)
        else:
            numbers = [to_gguf(np.asarray(stored.read()), tensor.layout, sizes)]
        yield Loss(tensor.target, tensor.source, written.type, written.size, relative_error(numbers, file, written))


def relative_error(numbers: Iterable[Array], file: GgufFile, written: Written) -> float:
    """rms(written - numbers) / rms(numbers); the numbers come as blocks of whole rows, in the file's order."""
    raw = np.memmap(file.path, mode="r", dtype=np.uint8, offset=written.offset, shape=(written.size,))
    width = written.shape[0]
    size = written.size // (prod(written.shape) // width)
    wide = np.empty(max(CHUNK, width), dtype=np.float32)
    row, gap, total = 0, 0.0, 0.0
    for block in numbers:
        rows = block.reshape(-1, width)
        for begin in range(0, len(rows), len(wide) // width):
            theirs = np.ascontiguousarray(rows[begin : begin + len(wide) // width], dtype=np.float32).reshape(-1)
            ours, count = wide[: theirs.size], theirs.size // width
            _widen(written.type)(raw[row * size : (row + count) * size], ours)
            np.subtract(ours, theirs, out=ours)
            gap += float(np.dot(ours, ours))
            total += float(np.dot(theirs, theirs))
            row += count
    if row * width != prod(written.shape):
        raise BundleError(f"{file.path}: {written.name} holds {prod(written.shape):,} numbers, {row * width:,} are due")
    return sqrt(gap / total) if total else sqrt(gap)


class _Traits(ctypes.Structure):
    """ggml's `ggml_type_traits`, as far as it is read here."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


@cache
def _widen(kind: str) -> Callable[[Any, Any], None]:
    """A function from the bytes of a type to float32."""
    if kind in _PLAIN:
        return lambda raw, out: np.copyto(out, raw.view(_PLAIN[kind]))
    address = ggml().ggml_get_type_traits(int(gguf.GGMLQuantizationType[kind]))
    traits = ctypes.cast(address, ctypes.POINTER(_Traits)).contents
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    if (traits.block, traits.type_size) != (block, size) or not traits.to_float:
        raise BundleError(f"type {kind} has blocks of {traits.block} numbers in the runtime, {block} are due")

    def widen(raw: Any, out: Any) -> None:
        raw = np.ascontiguousarray(raw)
        traits.to_float(raw.ctypes.data, out.ctypes.data, out.size)

    return widen
