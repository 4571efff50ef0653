"""A model to train, from a checkpoint or from a bundle."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from magicvl.convert.restore import restore
from magicvl.edge.bundle import LOCK_NAME
from magicvl.errors import UsageError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor


def load_model(folder: Path) -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    """A checkpoint or a bundle in float32, with its processor. Raises UsageError where it is neither."""
    if (folder / LOCK_NAME).is_file():
        with TemporaryDirectory() as place:
            restore(folder, Path(place) / "checkpoint")
            return load_model(Path(place) / "checkpoint")
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder}: neither a checkpoint nor a bundle")
    model = MagicVLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model, MagicVLProcessor.from_pretrained(folder)
