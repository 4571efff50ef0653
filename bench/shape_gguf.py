"""GGUF files of a shape: tensors of the right types, full of random blocks, written as fast as a disk takes them.

What a question costs does not depend on the values, only on shapes and types. Nothing is quantised: a block is random
bits with a scale that keeps the numbers about as large as a trained layer's.
"""

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from magicvl.convert.gguf_file import Field, OutTensor, write_gguf
from magicvl.convert.layout import Array
from magicvl.convert.progress import Quiet
from magicvl.convert.quantise import LLM_TYPES

SHAPE_TYPES = ("Q4_K_M", "Q8_0", "F16")
"""The types of a decoder that can be made here, a part of magicvl.convert.quantise.LLM_TYPES."""
PATTERN = 2**20
"""About the bytes of random blocks that are drawn for a type; tensors take them from another place on each."""

Bytes = npt.NDArray[np.uint8]

_LAYER = re.compile(r"blk\.(\d+)\.")
_QUANTS = {Type.Q4_0: 4.6, Type.Q5_0: 9.2, Type.Q8_0: 74.0, Type.Q4_K: 258.0, Type.Q6_K: 1370.0}
"""How far random bits of each type spread where the block's scale is 1."""


def out_tensor(name: str, shape: tuple[int, ...], kind: Type) -> OutTensor:
    """A tensor that `write_shape` fills."""
    return OutTensor(name, shape, kind, name, _no_numbers)


def write_shape(path: Path, architecture: str, fields: Sequence[Field], tensors: Sequence[OutTensor]) -> None:
    """Writes a file whose tensors hold random blocks: the same file for the same input."""
    write_gguf(path, architecture, fields, tensors, Quiet(), random_blocks)


def llm_type(name: str, shape: tuple[int, ...], layers: int, wanted: str, *, tied: bool) -> Type:
    """The type that llama.cpp's own quantiser gives a decoder's tensor in a file of one of SHAPE_TYPES.

    By the rules of its src/llama-quant.cpp for decoders without experts; rows that a K type cannot hold get the
    wider type that it falls back to.
    """
    if len(shape) == 1:
        return Type.F32
    if wanted != "Q4_K_M":
        return Type[wanted]
    fits = shape[-1] % 256 == 0
    head = name == "output.weight" or (tied and name == "token_embd.weight")
    larger = name.endswith(("attn_v.weight", "ffn_down.weight")) and _more_bits(_layer(name), layers)
    if head or larger:
        return Type.Q6_K if fits else Type.Q8_0
    return Type.Q4_K if fits else Type.Q5_0


def file_type(wanted: str) -> gguf.LlamaFileType:
    """What a decoder's file says of its types."""
    return LLM_TYPES[wanted]


def random_blocks(tensor: OutTensor) -> Iterator[Array]:
    """A tensor's bytes, piece by piece."""
    if len(tensor.shape) == 1:
        # Norms and the like are ones, biases small.
        numbers = np.full(tensor.shape, 0.01 if tensor.name.endswith("bias") else 1.0, dtype=np.float32)
        yield numbers.view(np.uint8)
        return
    blocks = _pattern(tensor.type, math.prod(tensor.shape[1:]))
    size = blocks.shape[1]
    place, left = zlib.crc32(tensor.name.encode()) % len(blocks), tensor.size // size
    while left:
        piece = blocks[place : place + left]
        yield np.ascontiguousarray(piece)
        left, place = left - len(piece), 0


@cache
def _pattern(kind: Type, fan_in: int) -> Bytes:
    """Random blocks of a type, uint8 (blocks, bytes of one), for rows of `fan_in` numbers."""
    random = np.random.default_rng(int(kind))
    size = gguf.GGML_QUANT_SIZES[kind][1]
    count = PATTERN // size
    spread = 1 / math.sqrt(fan_in)
    if kind in (Type.F32, Type.F16):
        floats = random.standard_normal(count, dtype=np.float32) * np.float32(spread)
        return floats.astype(np.float32 if kind is Type.F32 else np.float16).view(np.uint8).reshape(count, size)
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    scale = np.float16(spread / _QUANTS[kind])
    # Q6_K has its scale at the end of a block, the other types at its beginning; Q4_K a second one, subtracted.
    at = size - 2 if kind is Type.Q6_K else 0
    blocks[:, at : at + 2] = np.array([scale]).view(np.uint8)
    if kind is Type.Q4_K:
        blocks[:, 2:4] = np.array([np.float16(7.5) * scale]).view(np.uint8)
    return blocks


def _layer(name: str) -> int:
    found = _LAYER.match(name)
    return int(found[1]) if found else 0


def _more_bits(layer: int, layers: int) -> bool:
    """Whether Q4_K_M spends more on this layer: the first and the last eighth, and every third one between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _no_numbers() -> Array:
    raise AssertionError("a tensor of a shape has no numbers, only blocks")
