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
    Layout,
    Tensor,
    is_kept,
    kept_type,
    mmproj_keys,
    mmproj_values,
)

MMPROJ_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q5_0": gguf.LlamaFileType.MOSTLY_Q5_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}
"""The types that `--mmproj-type` takes, and what the file says of itself."""
FALLBACK = Type.F16
"""The type of rows that a block type cannot hold."""


def write_vision(source: Source, path: Path, wanted: str, steps: Steps) -> list[str]:
    """Writes the half; gives the tensors whose rows the wanted type cannot hold, and the type they have."""
    projector = source.vision.projector
    tensors = [
        OutTensor(
            name=tensor.target,
            shape=_shape(tensor, source.vision.patch),
            type=tensor_type(tensor, Type[wanted], projector),
            source=tensor.source,
            load=Loader(source.stored[tensor.source], tensor, {"patch": source.vision.patch}),
        )
        for tensor in source.vision_tensors
    ]
    write_gguf(path, ARCHITECTURE, vision_fields(source, wanted), tensors, steps)
    return [f"{tensor.target} ({FALLBACK.name})" for tensor in source.vision_tensors if _falls_back(tensor, wanted)]


def tensor_type(tensor: Tensor, wanted: Type, projector: str) -> Type:
    """The type a tensor gets in a file of the wanted type."""
    if len(tensor.shape) == 1 or wanted is Type.F32:
        return Type.F32
    if (kept := kept_type(tensor.target, projector)) is not None:
        return Type[kept]
    return FALLBACK if _falls_back(tensor, wanted.name) else wanted


def _falls_back(tensor: Tensor, wanted: str) -> bool:
    matrix = len(tensor.shape) == 2 and not is_kept(tensor.target)
    return matrix and tensor.shape[-1] % block_size(Type[wanted]) > 0


def _shape(tensor: Tensor, patch: int) -> tuple[int, ...]:
    return (tensor.shape[0], 3, patch, patch) if tensor.layout is Layout.PATCHES else tensor.shape


def vision_fields(source: Source, wanted: str) -> list[Field]:
    """The metadata of the half in one of MMPROJ_TYPES."""
    values = mmproj_values(
        source.vision, source.picture, text_width=source.decoder.width, norm_eps=source.vision_norm_eps
    ) | {
        "file_kind": "mmproj",
        "name": source.name,
        "file_type": int(MMPROJ_TYPES[wanted]),
        "quantization_version": gguf.GGML_QUANT_VERSION,
    }
    return [Field(rule.key, rule.kind, values[rule.value]) for rule in mmproj_keys(source.vision)]
