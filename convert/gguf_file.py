"""Writing one GGUF file: metadata, then tensors one at a time, large ones piece by piece.

No more than CHUNK numbers of a tensor that gives its rows singly are in memory at once, in any type.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

from magicvl.convert.checkpoint import widen
from magicvl.convert.layout import Array
from magicvl.convert.progress import Steps
from magicvl.errors import CheckpointError

CHUNK = 2**22
"""Numbers that are encoded at once, where a tensor gives its rows singly."""

KINDS = {
    "string": Value.STRING,
    "uint32": Value.UINT32,
    "int32": Value.INT32,
    "float32": Value.FLOAT32,
    "bool": Value.BOOL,
}


@dataclass(frozen=True)
class Field:
    """One metadata entry; a kind that ends in `[]` is an array."""

    key: str
    kind: str
    value: object


@dataclass(frozen=True)
class OutTensor:
    """One tensor of the file to be."""

    name: str
    shape: tuple[int, ...]
    """NumPy's order: rows first."""
    type: Type
    source: str
    """Its name in the checkpoint, for messages."""
    load: Callable[[], Array]
    """Gives all numbers, in any float type; BF16 may come as its bits, uint16."""
    rows: Callable[[int, int], Array] | None = None
    """Gives rows `begin` to `end`, as `load` does; None where rows cannot be had singly."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return math.prod(gguf.quant_shape_to_byte_shape(self.shape, self.type))


def block_size(kind: Type) -> int:
    """Numbers in a block of a type; a row must be a multiple of it."""
    return int(gguf.GGML_QUANT_SIZES[kind][0])


def write_gguf(
    path: Path,
    architecture: str,
    fields: Sequence[Field],
    tensors: Sequence[OutTensor],
    steps: Steps,
    encoder: Callable[[OutTensor], Iterator[Array]] | None = None,
) -> None:
    """Writes the file; `encoder` gives each tensor's bytes, by default `encode`.

    Raises CheckpointError for numbers that the type cannot hold. The same input gives the same bytes: no dates, no
    paths, order as given.
    """
    steps.begin(path.name, len(tensors), sum(tensor.size for tensor in tensors))
    writer = gguf.GGUFWriter(path, architecture)
    try:
        for field in fields:
            _add(writer, field)
        for tensor in tensors:
            bytes_shape = gguf.quant_shape_to_byte_shape(tensor.shape, tensor.type)
            # An 8-bit NumPy type tells the writer that the shape counts bytes.
            writer.add_tensor_info(tensor.name, bytes_shape, np.dtype(np.uint8), tensor.size, raw_dtype=tensor.type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()
    with path.open("ab") as file:
        file.write(bytes(-file.tell() % gguf.GGUF_DEFAULT_ALIGNMENT))
        for tensor in tensors:
            for block in (encoder or encode)(tensor):
                file.write(block.data)
            file.write(bytes(-tensor.size % gguf.GGUF_DEFAULT_ALIGNMENT))
            steps.advance(tensor.size)


def encode(tensor: OutTensor) -> Iterator[Array]:
    """The tensor's bytes in its type, one block of rows after another.

    Raises CheckpointError for numbers that are not finite in it.
    """
    if tensor.rows is None:
        numbers = tensor.load()
        if tuple(numbers.shape) != tensor.shape:
            raise CheckpointError(f"{tensor.source}: shape {numbers.shape}, {tensor.shape} is due")
        yield _encode(numbers, tensor)
        return
    step = max(1, CHUNK // max(1, math.prod(tensor.shape[1:])))
    for begin in range(0, tensor.shape[0], step):
        yield _encode(tensor.rows(begin, min(begin + step, tensor.shape[0])), tensor)


def _encode(numbers: Array, tensor: OutTensor) -> Array:
    if numbers.dtype == np.uint16 and tensor.type is Type.BF16:
        # The exponent of all ones: infinite, or not a number.
        if ((numbers & np.uint16(0x7F80)) == 0x7F80).any():
            raise CheckpointError(f"{tensor.source}: it holds values that are not finite")
        return np.ascontiguousarray(numbers)
    numbers = widen(numbers)
    with np.errstate(over="ignore"):
        wide = np.float16 if tensor.type is Type.F16 else np.float32
        floats = np.ascontiguousarray(numbers, dtype=wide)
    if not np.isfinite(floats).all():
        if np.isfinite(numbers).all():
            most = float(np.abs(numbers).max())
            raise CheckpointError(f"{tensor.source}: values up to {most:.6g}, F16 holds 65504 at most")
        raise CheckpointError(f"{tensor.source}: it holds values that are not finite")
    return np.ascontiguousarray(gguf.quantize(floats, tensor.type))


def _add(writer: gguf.GGUFWriter, field: Field) -> None:
    if field.kind.endswith("[]"):
        writer.add_key_value(field.key, field.value, Value.ARRAY, KINDS[field.kind[:-2]])
    else:
        writer.add_key_value(field.key, field.value, KINDS[field.kind])
