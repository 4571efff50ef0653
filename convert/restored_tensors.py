"""Tensors of a GGUF file on their way back into a checkpoint: dequantised, in its layout, written one at a time."""

import json
import math
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from magicvl.convert.layout import Array, to_checkpoint
from magicvl.convert.progress import Steps
from magicvl.edge.gguf_check import GgufFile
from magicvl.errors import BundleError
from magicvl.mmproj.contract import Layout, Tensor


class Part:
    """One tensor on its way back."""

    def __init__(self, file: GgufFile, tensor: Tensor, sizes: dict[str, int]) -> None:
        self.name, self.shape = tensor.source, tensor.shape
        self._file, self._tensor, self._sizes = file, tensor, sizes

    @property
    def size(self) -> int:
        """Bytes in F32."""
        return 4 * math.prod(self.shape)

    def read(self) -> Array:
        """The numbers as float32, in the checkpoint's layout."""
        found = self._file.tensors[self._tensor.target]
        raw = np.memmap(self._file.path, mode="r", dtype=np.uint8, offset=found.offset, shape=(found.size,))
        rows = raw.reshape(math.prod(found.shape[1:]), -1)
        numbers = gguf.dequantize(rows, Type[found.type])
        shape = self.shape
        if self._tensor.layout is Layout.PATCHES:
            shape = (shape[0], 3, self._sizes["patch"], self._sizes["patch"])
        return to_checkpoint(numbers.reshape(shape), self._tensor.layout, self._sizes)


def write_safetensors(path: Path, parts: list[Part], steps: Steps) -> None:
    """Writes the tensors one at a time. Raises BundleError for numbers that are not finite."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for part in parts:
        header[part.name] = {
            "dtype": "F32",
            "shape": list(part.shape),
            "data_offsets": [offset, offset + part.size],
        }
        offset += part.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            _write(file, part)
            steps.advance(part.size)


def _write(file: BinaryIO, part: Part) -> None:
    numbers = np.ascontiguousarray(part.read(), dtype="<f4")
    if not np.isfinite(numbers).all():
        raise BundleError(f"{part.name}: it holds values that are not finite")
    file.write(numbers.data)
