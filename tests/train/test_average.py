"""The mean of weights: of models of one shape, into a whole checkpoint, or one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from magicvl.errors import UsageError
from magicvl.train.average import average
from magicvl.train.load_model import load_model

DEFAULT = Path(__file__).parents[2] / "models" / "magicvl-nano"


def test_the_mean_of_a_checkpoint_and_a_bundle(
    tiny_checkpoint: Path, tiny_bundle: Path, save_tiny: Callable[..., Path], build_tiny: Any, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    other = build_tiny()
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(torch.randn_like(weight))
    save_tiny(other, tmp_path / "other")
    folder = average([tiny_bundle, tmp_path / "other"], tmp_path / "mean")
    one, two, mean = (load_model(path)[0].state_dict() for path in (tiny_bundle, tmp_path / "other", folder))
    assert all(torch.allclose(mean[name], (one[name] + two[name]) / 2) for name in mean)
    assert not all(torch.allclose(mean[name], one[name]) for name in mean)
    folder = average([tiny_bundle, tmp_path / "other"], tmp_path / "nearer", [3.0, 1.0])
    nearer = load_model(folder)[0].state_dict()
    assert all(torch.allclose(nearer[name], 0.75 * one[name] + 0.25 * two[name], atol=1e-6) for name in mean)
    with pytest.raises(UsageError, match="it exists"):
        average([tiny_bundle, tiny_bundle], folder)


def test_what_has_no_mean(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two or more"):
        average([tiny_checkpoint], tmp_path / "mean")
    with pytest.raises(UsageError, match="of another shape than"):
        average([tiny_checkpoint, DEFAULT], tmp_path / "mean")
    with pytest.raises(UsageError, match="neither a checkpoint nor a bundle"):
        average([tiny_checkpoint, tmp_path], tmp_path / "mean")
    for weights in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(UsageError, match="one above 0 is due for each of 2 models"):
            average([tiny_checkpoint, tiny_checkpoint], tmp_path / "mean", weights)
    model, processor = load_model(tiny_checkpoint)
    processor.picture_pieces = dict(processor.picture_pieces) | {"several": "{across}x{down}:"}
    model.config.picture_pieces = processor.picture_pieces
    model.save_pretrained(tmp_path / "told")
    processor.save_pretrained(tmp_path / "told")
    with pytest.raises(UsageError, match="other words around its tiles"):
        average([tiny_checkpoint, tmp_path / "told"], tmp_path / "mean")
    model, processor = load_model(tiny_checkpoint)
    model.config.min_tokens = processor.min_tokens = 9
    model.save_pretrained(tmp_path / "larger")
    processor.save_pretrained(tmp_path / "larger")
    with pytest.raises(UsageError, match="pictures are cut otherwise"):
        average([tiny_checkpoint, tmp_path / "larger"], tmp_path / "mean")
    model, processor = load_model(tiny_checkpoint)
    model.config.film_tracks = True
    model.save_pretrained(tmp_path / "tracks")
    processor.save_pretrained(tmp_path / "tracks")
    with pytest.raises(UsageError, match="describes films with tracks, the other without"):
        average([tiny_checkpoint, tmp_path / "tracks"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
