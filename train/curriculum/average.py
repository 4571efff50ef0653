"""An exponential moving average of the trained weights (EMA)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Average:
    """Float32 copies that follow the weights slowly; accelerate saves and loads them with the rest."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._followed = {name: each for name, each in module.named_parameters() if each.requires_grad}
        self._copies = {name: each.detach().clone().float() for name, each in self._followed.items()}
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """To be called after every step."""
        self._steps += 1
        # Early on it follows faster, or the first weights would stay in it for long.
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, copy in self._copies.items():
            copy.lerp_(self._followed[name].float(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average as the module's weights, for a measurement or a checkpoint."""
        kept = {name: each.detach().clone() for name, each in self._followed.items()}
        self._put(self._copies)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, each in self._followed.items():
            each.copy_(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """For accelerate."""
        return {"steps": self._steps, "copies": self._copies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """For accelerate."""
        self._steps = int(state["steps"])
        for name, copy in self._copies.items():
            copy.copy_(state["copies"][name])
