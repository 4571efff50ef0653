"""The mean of the weights of runs that began with the same model.

Runs that one pre-training has in common often lie in one basin, and the mean of their weights is then as good as the
best or better (Wortsman et al., Model soups, arXiv 2203.05482). What it was worth to magicvl-nano is in LOG.md.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from magicvl.convert.place import beside, check_target
from magicvl.errors import UsageError
from magicvl.train.load_model import load_model


def average(models: Sequence[Path], output: Path) -> Path:
    """Writes the checkpoint of the mean of checkpoints or bundles, with the first one's processor; returns it.

    Raises UsageError for fewer than two, for models of different shapes or vocabularies, and where `output` exists.
    """
    if len(models) < 2:
        raise UsageError(f"{len(models)} model: two or more can be averaged")
    check_target(output, source=models[0], force=False, mark="config.json")
    model, processor = load_model(models[0])
    mean = {name: value.double() / len(models) for name, value in model.state_dict().items()}
    for path in models[1:]:
        other, its_processor = load_model(path)
        weights = other.state_dict()
        if {name: value.shape for name, value in weights.items()} != {
            name: value.shape for name, value in mean.items()
        }:
            raise UsageError(f"{path}: of another shape than {models[0]}")
        if its_processor.tokenizer.get_vocab() != processor.tokenizer.get_vocab():
            raise UsageError(f"{path}: of another vocabulary than {models[0]}")
        for name, value in weights.items():
            mean[name] += value.double() / len(models)
    model.load_state_dict({name: value.to(torch.float32) for name, value in mean.items()})
    with beside(output) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return output
