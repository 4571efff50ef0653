"""A run can be killed and go on; its files are whole; its config is checked."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from magicvl.convert.restore import restore
from magicvl.edge.plan import plan
from magicvl.edge.prompt import Pieces, ask_messages
from magicvl.errors import UsageError
from magicvl.train.load_model import load_model
from magicvl.train.muon import orthogonalise
from magicvl.train.nano.batches import IGNORED
from magicvl.train.nano.config import Stage, TrainConfig, read_config
from magicvl.train.nano.evaluate import look, model_logits
from magicvl.train.nano.micro_batches import MicroBatches
from magicvl.train.nano.trainer import (
    LOG_NAME,
    Heads,
    Learner,
    begin,
    create,
    make_optimizers,
    rate,
    train,
    train_step,
)  # fmt: skip

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
DEFAULT = Path(__file__).parents[3] / "models" / "magicvl-nano"
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
        (
            'preset = "magicvl-nano"\nsteps = 1\nencoder = false\n'
            "[[stages]]\nstart = 0\nmax_side = 2\nmax_tokens = 4\nquestion_tokens = 0",
            "every stage must ask",
        ),
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


def test_a_run_begins_with_a_bundle(tmp_path: Path) -> None:
    model, processor = begin(CONFIG, DEFAULT)
    assert model.config.text_config.vocab_size == len(processor.tokenizer)
    restore(DEFAULT, tmp_path / "checkpoint")
    weights, due = model.state_dict(), load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in due.items())
    made = make_optimizers(model, Heads(256), CONFIG)
    by_muon = {id(parameter) for group in made[1].param_groups for parameter in group["params"]}
    ends = (model.lm_head.weight, model.get_input_embeddings().weight)
    assert by_muon and not by_muon & {id(parameter) for parameter in ends}


def test_a_base_of_another_shape_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its decoder is 128 wide, magicvl-nano is 256"):
        train(CONFIG, tmp_path / "run", resume=False, base=tiny_checkpoint)
    with pytest.raises(UsageError, match="neither a checkpoint nor a bundle"):
        train(CONFIG, tmp_path / "run", resume=False, base=tmp_path)


@pytest.fixture
def learner() -> Learner:
    """Of CONFIG, with two micro-batches a step."""
    torch.manual_seed(0)
    config = replace(CONFIG, micro_batches=2)
    model, heads = create(config)[0], Heads(256)
    return Learner(model, heads, make_optimizers(model, heads, config), config)


def test_a_base_is_told_what_stands_around_tiles(tmp_path: Path) -> None:
    config = replace(CONFIG, pieces={"several": "{across}x{down}:"})
    model, processor = begin(config, DEFAULT)
    assert model.config.pieces == Pieces(**processor.picture_pieces) == Pieces(several="{across}x{down}:")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    ids = again[1].token_ids(ask_messages("What is it?", 1), [plan(416, 64, again[1].grid)])
    assert again[1].tokenizer.decode(ids).startswith("<|user|><|image_start|>13x2:<|image|>")
    with pytest.raises(UsageError, match="unknown pieces sides; there are before, between"):
        replace(CONFIG, pieces={"sides": ""})


def test_an_encoder_at_rest_stays_as_it_was(tmp_path: Path) -> None:
    stage = replace(CONFIG.stages[-1], start=0)
    config = replace(CONFIG, steps=1, warmup=0, decay=0, encoder=False, stages=(stage,), place_weight=0.5)
    weights = load_file(train(config, tmp_path / "run", resume=False, workers=0, base=DEFAULT) / "model.safetensors")
    restore(DEFAULT, tmp_path / "base")
    before = load_file(tmp_path / "base" / "model.safetensors")
    moved = {name for name, value in before.items() if not torch.equal(weights[name], value)}
    assert moved and all("language_model" in name or name == "lm_head.weight" for name in moved)
    entry = json.loads((tmp_path / "run" / LOG_NAME).read_text())
    assert entry["dense"] is None and entry["places"] > 0


def test_places_are_read_off_the_decoder(learner: Learner) -> None:
    learner = replace(learner, config=replace(learner.config, place_weight=0.5))
    data = MicroBatches(learner.config, create(CONFIG)[1])
    with ThreadPoolExecutor(2) as pool:
        assert train_step(learner, [data[0], data[1]], 0, pool).places is None, "nothing was asked"
        losses = [train_step(learner, [data[2], data[3]], step, pool).places for step in (1, 1, 1, 1, 1, 1)]
    assert losses[0] is not None and losses[-1] is not None and losses[-1] < 0.9 * losses[0]
    assert learner.heads.dense.whole.weight.grad is not None


@pytest.mark.parametrize("step", [0, 1], ids=["dense targets alone", "questions"])
def test_micro_batches_side_by_side_add_up(step: int, learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MicroBatches(learner.config, create(CONFIG)[1])
    batches = [data[2 * step], data[2 * step + 1]]
    monkeypatch.setattr("torch.optim.Optimizer.zero_grad", lambda *_, **__: None)
    asked = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
    due = torch.zeros(())
    for batch in batches:
        seen = look(learner.model, batch)
        due = due + learner.config.dense_weight * learner.heads.dense.loss(torch.cat(seen), batch.dense) / 2
        if asked:
            logits = model_logits(learner.model, batch, seen).flatten(0, 1)
            due = due + cross_entropy(logits, batch.labels.flatten(), ignore_index=IGNORED, reduction="sum") / asked
    # Before the step: it changes the weights.
    expected = torch.autograd.grad(due, learner.parameters, allow_unused=True)
    norm = torch.nn.utils.get_total_norm(
        [each for each in expected[: len([*learner.model.parameters()])] if each is not None]
    )
    with ThreadPoolExecutor(2) as pool:
        losses = train_step(learner, batches, step, pool)
    assert (losses.answers is None) == (asked == 0)
    shrunk = min(1.0, learner.config.clip / (float(norm) + 1e-6))
    for parameter, gradient in zip(learner.model.parameters(), expected, strict=False):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient * shrunk, atol=1e-6, rtol=1e-3)


def test_what_comes_next_is_read_off_answers(learner: Learner) -> None:
    stage = Stage(0, 4, 16, min_side=2, pictures=2, prints=0.0, question_tokens=60, weights={"layout": 90.0})
    learner = replace(learner, config=replace(learner.config, stages=(stage,), item_weight=1.0))
    data = MicroBatches(learner.config, create(CONFIG)[1])
    batches = [data[0], data[1]]
    with ThreadPoolExecutor(2) as pool:
        losses = [train_step(learner, batches, 1, pool).items for _ in range(8)]
    assert losses[0] is not None and losses[-1] is not None and losses[-1] < 0.9 * losses[0]
    assert learner.heads.items.linear.weight.grad is not None


def test_a_new_head_learns_alone_first(learner: Learner) -> None:
    learner = replace(learner, config=replace(learner.config, head_steps=1))
    data = MicroBatches(learner.config, create(CONFIG)[1])
    before = [value.clone() for value in learner.model.state_dict().values()]
    seen = [*learner.heads.dense.norm.parameters(), *learner.heads.dense.linear.parameters()]
    head = [value.clone() for value in seen]
    with ThreadPoolExecutor(2) as pool:
        train_step(learner, [data[0], data[1]], 0, pool)
        assert all(torch.equal(*pair) for pair in zip(before, learner.model.state_dict().values(), strict=True))
        assert not any(torch.equal(*pair) for pair in zip(head, seen, strict=True))
        train_step(learner, [data[0], data[1]], 1, pool)
    assert not all(torch.equal(*pair) for pair in zip(before, learner.model.state_dict().values(), strict=True))
