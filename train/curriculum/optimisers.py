"""What changes the weights: a rate for each part, a warm-up, a cosine."""

import math
from collections.abc import Iterator

import torch

from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.stage import Stage
from magicvl.train.muon import Muon

PEAK = "peak"
"""The key of a group's highest rate."""


def make_optimisers(learner: Learner, stage: Stage) -> list[torch.optim.Optimizer]:
    """AdamW, and with `muon` a second one for matrices; only for weights that are trained.

    Matrices decay, tables and vectors do not.
    """
    groups: list[dict[str, object]] = []
    inside: list[torch.nn.Parameter] = []
    for rate, parameters in _parts(learner, stage):
        matrices = [each for name, each in parameters if _is_matrix(name, each)]
        rest = [each for name, each in parameters if not _is_matrix(name, each)]
        if stage.optimiser == "muon":
            inside += matrices
            matrices = []
        groups += [
            {"params": its, "weight_decay": decay, PEAK: rate}
            for its, decay in ((matrices, stage.weight_decay), (rest, 0.0))
            if its
        ]
    # The fused kernel adds up in an order of its own on some devices; on all of them in the same one each time.
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=0.0, betas=(0.9, stage.beta2), fused=True)]
    if inside:
        group = {"params": inside, PEAK: stage.muon_rate}
        made.append(Muon([group], lr=0.0, weight_decay=stage.weight_decay))
    return made


def _parts(learner: Learner, stage: Stage) -> Iterator[tuple[float, list[tuple[str, torch.nn.Parameter]]]]:
    """The rate and the trained weights of each part; an adapter is the decoder's."""
    rates = stage.rates
    by_prefix = {
        "model.model.vision_tower.": rates.encoder,
        "model.model.multi_modal_projector.": rates.projector,
        "head.": rates.dense,
        "model.": rates.language,
    }
    left = {name: each for name, each in learner.named_parameters() if each.requires_grad}
    for prefix, rate in by_prefix.items():
        its = [(name, left.pop(name)) for name in list(left) if name.startswith(prefix)]
        if its:
            yield rate, its


def _is_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    return parameter.ndim == 2 and "embed" not in name and "lm_head" not in name and not name.startswith("head.")


def rate_share(step: int, stage: Stage) -> float:
    """Share of the peak rates at a step: linear warm-up, then a cosine down to `floor`."""
    warmup = stage.warmup_steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, stage.steps - warmup)
    return stage.floor + (1 - stage.floor) * 0.5 * (1 + math.cos(math.pi * done))


def set_rates(optimisers: list[torch.optim.Optimizer], step: int, stage: Stage) -> None:
    """Sets what each group learns at this step."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group[PEAK] * rate_share(step, stage)
