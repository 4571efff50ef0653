"""The layouts of checkpoints that can be converted, one module each, recognised by their config.json."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicvl.convert.checkpoint import Checkpoint, open_checkpoint
from magicvl.convert.source import Source
from magicvl.convert.sources import magicvl
from magicvl.errors import CheckpointError

Recognises = Callable[[dict[str, Any]], bool]
Understand = Callable[[Checkpoint], Source]

LAYOUTS: tuple[tuple[Recognises, Understand], ...] = ((magicvl.recognises, magicvl.understand),)


def open_source(directory: Path) -> Source:
    """Opens a checkpoint of any known layout. Raises CheckpointError."""
    checkpoint = open_checkpoint(directory)
    for recognises, understand in LAYOUTS:
        if recognises(checkpoint.config):
            return understand(checkpoint)
    found = checkpoint.config.get("model_type")
    raise CheckpointError(f"{directory}: model_type {found!r}; checkpoints of model_type 'magicvl' can be converted")
