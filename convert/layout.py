"""The arrangements of numbers that differ between checkpoint and GGUF, each with its way back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.mmproj.contract import Layout

Array = npt.NDArray[Any]


def to_gguf(array: Array, layout: Layout, sizes: Mapping[str, int]) -> Array:
    """Arranges a tensor of the checkpoint as the GGUF file has it. `sizes` holds patch, heads, kv_heads."""
    match layout:
        case Layout.SAME:
            return array
        case Layout.PATCHES:
            side = sizes["patch"]
            kernel: Array = array.reshape(len(array), side, side, 3).transpose(0, 3, 1, 2)
            return kernel
        case Layout.ROTARY_HEADS:
            return _interleave(array, sizes["heads"])
        case Layout.ROTARY_KV_HEADS:
            return _interleave(array, sizes["kv_heads"])
        case Layout.CONVOLUTION:
            flat: Array = array.reshape(len(array), -1)
            return flat


def to_checkpoint(array: Array, layout: Layout, sizes: Mapping[str, int]) -> Array:
    """The inverse of `to_gguf`."""
    match layout:
        case Layout.SAME:
            return array
        case Layout.PATCHES:
            flat: Array = array.transpose(0, 2, 3, 1).reshape(len(array), -1)
            return flat
        case Layout.ROTARY_HEADS:
            return _halve(array, sizes["heads"])
        case Layout.ROTARY_KV_HEADS:
            return _halve(array, sizes["kv_heads"])
        case Layout.CONVOLUTION:
            channels: Array = array.reshape(len(array), 1, -1)
            return channels


def _interleave(array: Array, heads: int) -> Array:
    """transformers rotates row i with row i + half of a head; llama.cpp's llama rotates neighbours."""
    halves = array.reshape(heads, 2, len(array) // heads // 2, *array.shape[1:])
    rows: Array = np.swapaxes(halves, 1, 2).reshape(array.shape)
    return rows


def _halve(array: Array, heads: int) -> Array:
    pairs = array.reshape(heads, len(array) // heads // 2, 2, *array.shape[1:])
    rows: Array = np.swapaxes(pairs, 1, 2).reshape(array.shape)
    return rows
