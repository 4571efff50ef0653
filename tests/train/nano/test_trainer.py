"""A run can be killed and go on; its files are whole; its config is checked."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magicvl.errors import UsageError
from magicvl.train.muon import orthogonalise
from magicvl.train.nano.config import Stage, TrainConfig, read_config
from magicvl.train.nano.trainer import LOG_NAME, create, rate, train

CONFIG = TrainConfig(
    preset="magicvl-nano",
    steps=4,
    stages=(
        Stage(0, 2, 4, pictures=2, question_tokens=0),
        Stage(1, 2, 4, pictures=2, question_tokens=30),
        Stage(2, 3, 4, pictures=2, question_tokens=30),
    ),
    micro_batches=1,
    warmup=1,
    decay=2,
    muon_rate=1e-3,
    evaluate_every=2,
    evaluate_pictures=2,
)
SHIPPED = sorted((Path(__file__).parents[3] / "train" / "configs").glob("*.toml"))


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    through = train(CONFIG, tmp_path / "through", resume=False, workers=0)
    # The second run dies in its third step, past the checkpoint of the second.
    import magicvl.train.nano.trainer as trainer

    real, calls = trainer.train_step, []

    def dying(*arguments: object) -> float:
        calls.append(arguments)
        if len(calls) == 4:
            raise RuntimeError("killed")
        return real(*arguments)

    monkeypatch.setattr(trainer, "train_step", dying)
    with pytest.raises(RuntimeError, match="killed"):
        train(CONFIG, tmp_path / "killed", resume=False, workers=0)
    monkeypatch.setattr(trainer, "train_step", real)
    resumed = train(CONFIG, tmp_path / "killed", resume=True, workers=0)
    one, other = (load_file(path / "model.safetensors") for path in (through, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / LOG_NAME).read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    assert (tmp_path / "killed" / "curves.png").stat().st_size > 1000


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(UsageError, match="holds a run already"):
        train(CONFIG, tmp_path, resume=False)


@pytest.mark.slow
def test_loss_falls_on_a_few_steps(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        steps=12,
        decay=1,
        evaluate_every=12,
        stages=tuple(replace(stage, pictures=8) for stage in CONFIG.stages),
    )
    train(config, tmp_path / "run", resume=False, workers=0)
    entries = [json.loads(line) for line in (tmp_path / "run" / LOG_NAME).read_text().splitlines()]
    assert entries[-1]["answers"] < 0.9 * entries[1]["answers"]
    assert sum(asked for _, asked in entries[-1]["accuracy"].values()) > 4


def test_positions_keep_their_meaning_when_shrunk() -> None:
    torch.manual_seed(0)
    model, _ = create(CONFIG)
    embeddings = model.model.vision_tower.embeddings
    table = embeddings.position_embedding.weight.reshape(24, 24, -1)
    small = embeddings.resize_positional_embeddings(table, torch.tensor([[4, 4]]), 16)[0]
    # Neighbours on a 4 x 4 grid stay apart; independent noise would average to almost nothing.
    assert torch.pdist(small).min() > 0.5


def test_rate_warms_up_stays_and_decays() -> None:
    config = replace(CONFIG, steps=100, warmup=10, decay=20)
    rates = [rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:80] == [1.0] * 71
    assert rates[99] == pytest.approx(0.05)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_muon_makes_singular_values_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.5
    assert values.max() < 1.5


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert read_config(path).steps > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = 3 =", "not valid TOML"),
        ('preset = "magicvl-nano"\nsteps = 1\nrate = 2', "unknown keys rate"),
        ('preset = "magicvl-nano"\nsteps = 1', "first of"),
        (
            'preset = "magicvl-nano"\nsteps = 0\n[[stages]]\nstart = 0\nmax_side = 2\nmax_tokens = 4',
            "at least 1",
        ),
        ("steps = 1\n[[stages]]\nstart = 0\nmax_side = 2\nmax_tokens = 4", "preset"),
    ],
)
def test_bad_configs_are_one_line_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_config(path)


def test_a_missing_config_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such training config"):
        read_config(tmp_path / "none.toml")
