"""A Hugging Face checkpoint directory, read without building the model: JSON files and lazy tensors.

Safetensors: 8 bytes of header length, a JSON header, then raw little-endian numbers. Tensors are
memory-mapped, so a checkpoint of any size costs only the tensor at hand.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.errors import CheckpointError

MAX_HEADER = 100_000_000
"""Most bytes of a safetensors header, the limit of the safetensors library itself."""
DTYPES = {"F32": 4, "F16": 2, "BF16": 2}

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies and what it is; nothing is read before `read`."""

    file: Path
    dtype: str
    """The name of safetensors: F32, F16, BF16, ..."""
    shape: tuple[int, ...]
    offset: int
    """Bytes from the start of the file."""
    size: int
    """Bytes."""

    def read(self) -> npt.NDArray[np.floating]:
        """The numbers: float32 for F32 and BF16 (exactly), float16 for F16, memory-mapped where possible."""
        return widen(self.raw())

    def raw(self, begin: int = 0, end: int | None = None) -> npt.NDArray[Any]:
        """Rows `begin` to `end` as they are stored: float32, float16, or uint16 with the bits of BF16.

        They are memory-mapped for as long as the array lives.
        """
        stored = np.dtype({"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[self.dtype])
        if self.size == 0:
            return np.zeros(self.shape, dtype=np.float32)
        if begin == 0 and end is None:
            return np.memmap(self.file, mode="r", dtype=stored, offset=self.offset, shape=self.shape)
        row = math.prod(self.shape[1:])
        shape = (len(range(self.shape[0])[begin:end]), *self.shape[1:])
        offset = self.offset + begin * row * stored.itemsize
        return np.memmap(self.file, mode="r", dtype=stored, offset=offset, shape=shape)


def widen(stored: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
    """The numbers of what `raw` gives: the bits of BF16, the upper half of a float32, as one; others as they are."""
    if stored.dtype != np.uint16:
        return stored
    wide = stored.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


@dataclass(frozen=True)
class Checkpoint:
    """config.json as it stands, and the tensors by name."""

    directory: Path
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]
    tokenizer: Path
    """The directory of the tokenizer's files, the checkpoint's own where nobody named another."""

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.directory.resolve().name


def open_checkpoint(directory: Path, tokenizer: Path | None = None) -> Checkpoint:
    """Opens a checkpoint directory; `tokenizer` is where its tokenizer lies, None for the same directory.

    Raises CheckpointError where a file is missing or damaged.
    """
    for place in (directory, tokenizer):
        if place is not None and not place.is_dir():
            raise CheckpointError(f"{place}: no such directory")
    return Checkpoint(
        directory, read_json(directory / "config.json"), _index_tensors(directory), tokenizer or directory
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError where there is none."""
    if not path.is_file():
        raise CheckpointError(f"{path.parent}: it has no {path.name}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: no valid JSON ({error})") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: a JSON {type(data).__name__} where an object is due")
    return data


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    return read_json(path) if path.exists() else {}


def _index_tensors(directory: Path) -> dict[str, StoredTensor]:
    if (directory / _SINGLE).is_file():
        return read_header(directory / _SINGLE)
    if not (directory / _INDEX).is_file():
        raise CheckpointError(f"{directory}: it has neither {_SINGLE} nor {_INDEX}")
    weight_map = read_json(directory / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{directory / _INDEX}: it has no weight_map")
    tensors: dict[str, StoredTensor] = {}
    for shard in sorted({str(file) for file in weight_map.values()}):
        # A shard's name comes from a file that others wrote: it must not lead out of the directory.
        if Path(shard).name != shard or not (directory / shard).is_file():
            raise CheckpointError(f"{directory}: shard {shard!r} of {_INDEX} is not there")
        tensors |= read_header(directory / shard)
    if lost := sorted(set(weight_map) - set(tensors)):
        raise CheckpointError(f"{directory}: {_INDEX} names tensors that no shard holds: {', '.join(lost)}")
    return tensors


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file. Raises CheckpointError where the header and the file disagree."""
    total = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, total - 8):
            raise CheckpointError(f"{path}: cut short, or no safetensors file ({total:,} bytes)")
        raw = file.read(length)
    try:
        header = json.loads(raw)
        return {
            name: _stored(path, entry, 8 + length, total) for name, entry in header.items() if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged header ({error})") from None


def _stored(path: Path, entry: dict[str, Any], start: int, total: int) -> StoredTensor:
    dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
    begin, end = (int(offset) for offset in entry["data_offsets"])
    if not 0 <= begin <= end or any(side < 0 for side in shape):
        raise ValueError(f"offsets {begin}..{end}, shape {shape}")
    if start + end > total:
        raise ValueError(f"a tensor ends at byte {start + end:,} of {total:,}: the file is cut short")
    if dtype in DTYPES and math.prod(shape) * DTYPES[dtype] != end - begin:
        raise ValueError(f"a tensor of shape {shape} in {dtype} has {end - begin:,} bytes")
    return StoredTensor(path, dtype, shape, start + begin, end - begin)
