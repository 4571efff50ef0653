"""An adapter put into its model: for a while, so that drawing tokens costs nothing more, or for good."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.adapter import base_weights


@contextmanager
def merged(model: Any) -> Iterator[None]:
    """The adapter of PEFT's model inside the weights that it changes; afterwards they are bit for bit as before."""
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    before = [layer.get_base_layer().weight.detach().clone() for layer in layers]
    model.merge_adapter()
    try:
        yield
    finally:
        model.unmerge_adapter()
        with torch.no_grad():
            for layer, weight in zip(layers, before, strict=True):
                # Taking off what was added leaves rounding behind.
                layer.get_base_layer().weight.copy_(weight)


def write_checkpoint(model: Any, processor: MagicVLProcessor, folder: Path, *, adapter: bool = True) -> None:
    """A checkpoint of the plain model, with the adapter of PEFT's `model` in its weights or without."""
    inner = model.get_base_model()
    with merged(model) if adapter else nullcontext():
        plain = MagicVLForConditionalGeneration(inner.config)
        plain.load_state_dict(base_weights(inner.state_dict()))
    plain.save_pretrained(folder)
    processor.save_pretrained(folder)
