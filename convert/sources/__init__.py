"""The layouts of checkpoints that can be converted, one module each, recognised by their config.json."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import Checkpoint, open_checkpoint
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources import idefics3, lfm2_vl, llava, magicvl, nanovlm
from magicvl.errors import CheckpointError


@dataclass(frozen=True)
class Layout:
    """One kind of checkpoint."""

    name: str
    """What messages call it."""
    recognises: Callable[[dict[str, Any]], bool]
    """Whether a config.json is of it."""
    understand: Callable[[Checkpoint, Reader], Source]
    """Reads the rest; the reader is of config.json, and every problem goes to it."""


def _of(*model_types: str) -> Callable[[dict[str, Any]], bool]:
    return lambda config: config.get("model_type") in model_types


LAYOUTS = (
    Layout("magicvl", _of(magicvl.MODEL_TYPE), magicvl.understand),
    Layout("idefics3 and smolvlm", _of(*idefics3.MODEL_TYPES), idefics3.understand),
    Layout("llava", _of(llava.MODEL_TYPE), llava.understand),
    Layout("LFM2-VL", _of(*lfm2_vl.MODEL_TYPES), lfm2_vl.understand),
    Layout("nanoVLM", nanovlm.recognises, nanovlm.understand),
)


def open_source(directory: Path, tokenizer: Path | None = None) -> Source:
    """Opens a checkpoint of any known layout; `tokenizer` as for `open_checkpoint`.

    Raises CheckpointError with every problem in one line.
    """
    checkpoint = open_checkpoint(directory, tokenizer)
    layout = next((each for each in LAYOUTS if each.recognises(checkpoint.config)), None)
    if layout is None:
        found = checkpoint.config.get("model_type")
        known = ", ".join(each.name for each in LAYOUTS)
        raise CheckpointError(f"{directory}: model_type {found!r}; checkpoints of {known} can be converted")
    problems: list[str] = []
    source = layout.understand(checkpoint, Reader("config.json", checkpoint.config, problems))
    if problems:
        raise CheckpointError(f"{directory}: {'; '.join(problems)}")
    return source
