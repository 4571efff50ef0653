"""The mean of the weights of runs that began with the same model.

Runs that one pre-training has in common often lie in one basin, and the mean of their weights is then as good as the
best or better (Wortsman et al., Model soups, arXiv 2203.05482). What it was worth to magicvl-nano is in LOG.md.
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import torch

from magicvl.convert.place import beside, check_target
from magicvl.errors import UsageError
from magicvl.train.load_model import load_model


def average(models: Sequence[Path], output: Path, weights: Sequence[float] = ()) -> Path:
    """Writes the checkpoint of the mean of checkpoints or bundles, with the first one's processor; returns it.

    `weights` say how much each counts beside the others; without them all count alike. Raises UsageError for fewer than
    two, for models of different shapes, vocabularies, words around tiles or forms of film descriptions, for weights
    that are not one above 0 for each model, and where `output` exists.
    """
    if len(models) < 2:
        raise UsageError(f"{len(models)} model: two or more can be averaged")
    shares = _shares(weights or [1.0] * len(models), len(models))
    check_target(output, source=models[0], force=False, mark="config.json")
    model, processor = load_model(models[0])
    mean = {name: value.double() * shares[0] for name, value in model.state_dict().items()}
    for path, share in zip(models[1:], shares[1:], strict=True):
        other, its_processor = load_model(path)
        its = other.state_dict()
        if {name: value.shape for name, value in its.items()} != {name: value.shape for name, value in mean.items()}:
            raise UsageError(f"{path}: of another shape than {models[0]}")
        if its_processor.tokenizer.get_vocab() != processor.tokenizer.get_vocab():
            raise UsageError(f"{path}: of another vocabulary than {models[0]}")
        if its_processor.grid != processor.grid:
            raise UsageError(f"{path}: its pictures are cut otherwise than those of {models[0]}")
        if its_processor.picture_pieces != processor.picture_pieces:
            raise UsageError(f"{path}: with other words around its tiles than {models[0]}")
        if other.config.film_tracks != model.config.film_tracks:
            raise UsageError(f"{path}: one of it and {models[0]} describes films with tracks, the other without")
        for name, value in its.items():
            mean[name] += value.double() * share
    model.load_state_dict({name: value.to(torch.float32) for name, value in mean.items()})
    with beside(output) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return output


def _shares(weights: Sequence[float], models: int) -> list[float]:
    if len(weights) != models or not all(0 < weight < inf for weight in weights):
        given = ", ".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"weights {given}: one above 0 is due for each of {models} models")
    return [weight / sum(weights) for weight in weights]
