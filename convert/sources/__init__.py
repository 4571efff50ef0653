"""The layouts of checkpoints that can be converted, one module each, recognised by their config.json."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import Checkpoint, open_checkpoint
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
    understand: Callable[[Checkpoint], Source]
    """Reads the rest. Raises CheckpointError with every problem in one line."""


LAYOUTS = (
    Layout("magicvl", magicvl.recognises, magicvl.understand),
    Layout("idefics3 and smolvlm", idefics3.recognises, idefics3.understand),
    Layout("llava", llava.recognises, llava.understand),
    Layout("LFM2-VL", lfm2_vl.recognises, lfm2_vl.understand),
    Layout("nanoVLM", nanovlm.recognises, nanovlm.understand),
)


def open_source(directory: Path, tokenizer: Path | None = None) -> Source:
    """Opens a checkpoint of any known layout; `tokenizer` as for `open_checkpoint`. Raises CheckpointError."""
    checkpoint = open_checkpoint(directory, tokenizer)
    for layout in LAYOUTS:
        if layout.recognises(checkpoint.config):
            return layout.understand(checkpoint)
    found = checkpoint.config.get("model_type")
    known = ", ".join(layout.name for layout in LAYOUTS)
    raise CheckpointError(f"{directory}: model_type {found!r}; checkpoints of {known} can be converted")
