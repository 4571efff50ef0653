"""Encoder and projector to `mmproj.gguf`, by the tables of magicvl.mmproj.contract."""

from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type

from magicvl.convert.gguf_file import Field, OutTensor, block_size, write_gguf
from magicvl.convert.progress import Steps
from magicvl.convert.source import Source
from magicvl.convert.tensors import Loader
from magicvl.mmproj.contract import (
    ARCHITECTURE,
    KEEP_F16,
    KEEP_F32,
    MMPROJ_KEYS,
    Layout,
    Tensor,
    mmproj_values,
)

MMPROJ_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
"""The types that `--mmproj-type` takes, and what the file says of itself."""


def write_vision(source: Source, path: Path, wanted: str, steps: Steps) -> list[str]:
    """Writes the half; gives the tensors whose rows the wanted type cannot hold, and which are F16."""
    tensors = [
        OutTensor(
            name=tensor.target,
            shape=_shape(tensor, source.vision.patch),
            type=tensor_type(tensor, Type[wanted]),
            source=tensor.source,
            load=Loader(source.stored[tensor.source], tensor, {"patch": source.vision.patch}),
        )
        for tensor in source.vision_tensors
    ]
    steps.begin(path.name, len(tensors), sum(tensor.size for tensor in tensors))
    write_gguf(path, ARCHITECTURE, _fields(source, wanted), tensors, steps)
    return [
        tensor.target
        for tensor in source.vision_tensors
        if _is_matrix(tensor) and tensor.shape[-1] % block_size(Type[wanted])
    ]


def tensor_type(tensor: Tensor, wanted: Type) -> Type:
    """The type a tensor gets in a file of the wanted type."""
    if len(tensor.shape) == 1 or tensor.target in KEEP_F32 or wanted is Type.F32:
        return Type.F32
    if tensor.target in KEEP_F16 or tensor.shape[-1] % block_size(wanted):
        return Type.F16
    return wanted


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.target not in KEEP_F32 | KEEP_F16


def _shape(tensor: Tensor, patch: int) -> tuple[int, ...]:
    return (tensor.shape[0], 3, patch, patch) if tensor.layout is Layout.PATCHES else tensor.shape


def _fields(source: Source, wanted: str) -> list[Field]:
    values = mmproj_values(
        source.vision, source.picture, text_width=source.decoder.width, norm_eps=source.vision_norm_eps
    ) | {
        "file_kind": "mmproj",
        "name": source.name,
        "file_type": int(MMPROJ_TYPES[wanted]),
        "quantization_version": gguf.GGML_QUANT_VERSION,
    }
    return [Field(rule.key, rule.kind, values[rule.value]) for rule in MMPROJ_KEYS]
