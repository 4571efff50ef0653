"""Everything that can be wrong with a conversion, asked before a byte is written, and told all at once."""

import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gguf
from gguf import GGMLQuantizationType as Type

from magicvl.convert.adapter import Adapter, adapter_problems, encoder_problems, merge, open_adapter, place
from magicvl.convert.checkpoint import DTYPES, Checkpoint, StoredTensor, open_checkpoint
from magicvl.convert.content import largest
from magicvl.convert.decoder import decoder_tensors
from magicvl.convert.llm import PLAIN_TYPES
from magicvl.convert.source import Source
from magicvl.convert.sources import open_source
from magicvl.convert.tensors import left_out, listing, tensor_problems
from magicvl.convert.vision import tensor_type
from magicvl.convert.vocabulary import Vocabulary, check_image_token, read_vocabulary
from magicvl.errors import CheckpointError
from magicvl.mmproj.contract import Layout, Tensor

T = TypeVar("T")

F16_MOST = 65504.0
SPARE = 2**24
"""Bytes for metadata, the lock and the file system's own needs."""
_BITS = {"Q4_K_M": 4.9, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "Q5_0": 5.5, "Q4_0": 4.5, "IQ4_NL": 4.5}
"""About the bits of a number in a file of the type; what is not here has its own size."""


@dataclass(frozen=True)
class Job:
    """A conversion that nothing stands in the way of."""

    source: Source
    """With an adapter's part merged where it is to be."""
    vocabulary: Vocabulary
    adapter: Adapter | None
    caption_adapter: Adapter | None = None


def preflight(
    directory: Path,
    target: Path,
    llm_type: str,
    mmproj_type: str,
    adapter_directory: Path | None,
    *,
    merged: bool,
    tokenizer: Path | None = None,
    caption_directory: Path | None = None,
) -> Job:
    """Looks at everything there is. Raises CheckpointError that names all problems in one line.

    Free disk, architecture, pre-tokenizer and vocabulary, missing, extra, misshapen and unreadable tensors,
    tensors with NaN, infinite or all-zero numbers or numbers that F16 cannot hold, and an adapter that changes
    nothing. All zero may be what is named `.bias`: biases start at zero, and training may leave them there. No
    weight of a matrix, norm or table may: nothing would pass through it.
    """
    checkpoint = open_checkpoint(directory, tokenizer)
    problems: list[str] = []
    source = _try(lambda: open_source(directory, tokenizer), directory, problems)
    vocabulary = _vocabulary(checkpoint, source, problems)
    unused = set(left_out(source)) if source else set()
    stored = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in unused}
    problems += _content(stored, _narrow(source, llm_type, mmproj_type) if source else set())
    adapter = captions = None
    if source is not None:
        problems += tensor_problems(source)
        adapter = _adapter(adapter_directory, source, directory, problems)
        captions = _adapter(caption_directory, source, directory, problems)
        problems += [] if captions is None else encoder_problems(captions, source)
        problems += _disk(source, target, llm_type, mmproj_type)
    if problems or source is None or vocabulary is None:
        count = f"{len(problems)} problems: " if len(problems) > 1 else ""
        raise CheckpointError(f"{directory}: {count}{'; '.join(problems)}")
    if adapter is not None:
        source = merge(source, adapter, llm=merged)
    return Job(source, vocabulary, adapter, captions)


def _adapter(where: Path | None, source: Source, directory: Path, problems: list[str]) -> Adapter | None:
    """The adapter of a directory with its matrices in their places, where there is one that can be read."""
    if where is None or (found := _try(lambda: open_adapter(where), directory, problems)) is None:
        return None
    placed, unclear = place(found, source)
    problems += [*unclear, *adapter_problems(placed, source)]
    return placed


def _try(ask: Callable[[], T], directory: Path, problems: list[str]) -> T | None:
    """The answer, or None and the reason among the problems."""
    try:
        return ask()
    except CheckpointError as error:
        problems.append(str(error).removeprefix(f"{directory}: "))
        return None


def _vocabulary(checkpoint: Checkpoint, source: Source | None, problems: list[str]) -> Vocabulary | None:
    directory = checkpoint.tokenizer
    if source is not None:
        rows: object = source.decoder.vocabulary
    else:
        # The architecture is unknown; the pre-tokenizer may be too, and both want to be told.
        text = checkpoint.config.get("text_config")
        rows = text.get("vocab_size") if isinstance(text, dict) else None
    if not isinstance(rows, int) or not 0 < rows < 2**24:
        return None
    length = rows
    extra, template = (source.extra_tokens, source.chat_template) if source else ((), None)
    vocabulary = _try(
        lambda: read_vocabulary(directory, length, extra_tokens=extra, chat_template=template), directory, problems
    )
    if vocabulary is not None and source is not None and source.image_token_id is not None:
        token, wanted = source.image_token, source.image_token_id
        _try(lambda: check_image_token(vocabulary, token, wanted, directory), directory, problems)
    return vocabulary


def _content(stored: dict[str, StoredTensor], narrow: set[str]) -> list[str]:
    found: dict[str, list[str]] = {"with NaN": [], "with infinite numbers": [], "all zero": []}
    wide: list[str] = []
    for name, tensor in stored.items():
        if tensor.dtype not in DTYPES or not tensor.size:
            continue
        most = largest(tensor)
        if math.isnan(most):
            found["with NaN"].append(name)
        elif math.isinf(most):
            found["with infinite numbers"].append(name)
        elif most == 0 and not name.endswith(".bias"):
            found["all zero"].append(name)
        elif most > F16_MOST and name in narrow:
            wide.append(f"{name} (values up to {most:.6g}, F16 holds 65504 at most)")
    found["past the range of F16, take another type"] = wide
    return [listing(what, names) for what, names in found.items() if names]


def _narrow(source: Source, llm_type: str, mmproj_type: str) -> set[str]:
    """The tensors that will be F16, by their name in the checkpoint."""
    llm = decoder_tensors(source.decoder) if llm_type == "F16" else []
    return {tensor.source for tensor in llm if len(tensor.shape) > 1 and tensor.layout is not Layout.CONVOLUTION} | {
        tensor.source
        for tensor in source.vision_tensors
        if tensor_type(tensor, Type[mmproj_type], source.vision.projector) is Type.F16
    }


def _disk(source: Source, target: Path, llm_type: str, mmproj_type: str) -> list[str]:
    """Both files, and beside a quantised LLM the wide file that it is made from."""
    llm = decoder_tensors(source.decoder)
    need = _bytes(llm, llm_type) + _bytes(source.vision_tensors, mmproj_type) + SPARE
    if llm_type not in PLAIN_TYPES:
        need += sum(source.stored[t.source].size for t in llm if t.source in source.stored)
    free = shutil.disk_usage(target.absolute().parent).free
    if need <= free:
        return []
    return [
        f"the bundle takes about {need / 1e9:.2f} GB while it is made, {target.absolute().parent} has {free / 1e9:.2f} "
        f"GB free; make room, or take another directory"
    ]


def _bytes(tensors: Iterable[Tensor], kind: str) -> int:
    if (bits := _BITS.get(kind)) is None:
        block, size = gguf.GGML_QUANT_SIZES[Type[kind]]
        bits = 8 * size / block
    return math.ceil(sum(math.prod(t.shape) * (32 if len(t.shape) == 1 else bits) for t in tensors) / 8)
