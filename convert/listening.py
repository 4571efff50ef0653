"""What the modules of a torch encoder give while it runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from magicvl.convert.reference import Floats


@contextmanager
def listening(modules: Mapping[str, torch.nn.Module], tiles: int) -> Iterator[dict[str, list[Floats]]]:
    """By the names of `modules`, (patches, width) float32 of each of the `tiles` that run together."""
    heard: dict[str, list[Floats]] = {}

    def listen(name: str) -> Any:
        def hook(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            heard[name] = list(tensor.reshape(tiles, -1, tensor.shape[-1]).float().numpy())

        return hook

    handles = [module.register_forward_hook(listen(name)) for name, module in modules.items()]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
