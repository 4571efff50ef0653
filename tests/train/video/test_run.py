"""Runs: both arms learn, leave what a user needs, and go on to the same weights after being stopped."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from magicvl.convert.bundle import convert
from magicvl.convert.restore import restore
from magicvl.edge.bundle import read_bundle
from magicvl.errors import UsageError
from magicvl.train.curriculum.stage import Lora
from magicvl.train.load_model import load_model
from magicvl.train.run_log import read_log
from magicvl.train.video import run as running
from magicvl.train.video.rewards import NOTHING, Scorer, Worth
from magicvl.train.video.run import open_captioner, run_captions
from magicvl.train.video.settings import CaptionRun, Clips, Group, Learning
from magicvl.train.video.watch import LOG_NAME

MakeRun = Callable[..., CaptionRun]


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


class Vowels(Scorer):
    """A toy: an answer is worth the share of its characters that are `e`."""

    def __init__(self) -> None:
        """Needs nothing."""

    def score(self, films: Any, texts: Any) -> list[Worth]:
        """One for each text."""
        return [replace(NOTHING, think=text.count("e") / max(1, len(text))) for text in texts]


def stop_at_second_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C arrives while held-out films are measured for the second time; the step after that is the last."""
    calls = []

    def measure(*_: Any, **__: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return {"format": 0.0}

    monkeypatch.setattr(running, "held_out_scores", measure)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "supervised", "rows": 2},
        {"kind": "supervised", "rows": 2, "motions": 0.5},
        {"kind": "supervised", "rows": 2, "learning": Learning(rate=1e-2, warmup=0.0, optimiser="muon")},
        {"kind": "grpo", "rows": 6},
    ],
    ids=["supervised", "motions", "muon", "grpo"],
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    fields: dict[str, Any],
    make_run: MakeRun,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "make_scorer", lambda _: Vowels())
    run = make_run(**fields)
    through = adapter(run_captions(run, tmp_path / "through", base=tiny_checkpoint, resume=False))
    stop_at_second_measurement(monkeypatch)
    assert not run_captions(run, tmp_path / "cut", base=tiny_checkpoint, resume=False).exists()
    assert [entry["step"] for entry in read_log(tmp_path / "cut" / LOG_NAME)] == [0, 1, 2, 3]
    # What a kill left half written is passed over.
    (tmp_path / "cut" / "state" / "checkpoint-4").mkdir()
    with pytest.raises(UsageError, match="holds a run already"):
        run_captions(run, tmp_path / "cut", base=tiny_checkpoint, resume=False)
    with pytest.raises(UsageError, match="another learning, seed"):
        other = replace(run, seed=2, learning=Learning(rate=1e-3))
        run_captions(other, tmp_path / "cut", base=tiny_checkpoint, resume=True)
    gone_on = adapter(run_captions(run, tmp_path / "cut", base=tiny_checkpoint, resume=True))
    assert [entry["step"] for entry in read_log(tmp_path / "cut" / LOG_NAME)] == [0, 1, 2, 3, 4]
    assert through.keys() == gone_on.keys()
    assert all(torch.equal(value, gone_on[name]) for name, value in through.items())
    assert any(value.abs().max() > 0 for name, value in through.items() if "lora_B" in name)


@pytest.mark.slow
def test_supervised_learns_and_leaves_what_a_user_needs(
    make_run: MakeRun, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = Lora(rank=4, alpha=4, targets=("q_proj", "v_proj", "down_proj"), head=True)
    run = make_run(passes=3.0, evaluate_every=6, lora=lora)
    folder = run_captions(run, tmp_path / "run", base=tiny_checkpoint, resume=False)
    logged = read_log(tmp_path / "run" / LOG_NAME)
    assert [entry["step"] for entry in logged] == list(range(13))
    assert logged[-1]["loss"] < 0.85 * logged[1]["loss"]
    assert [entry["step"] for entry in logged if "held_out" in entry] == [0, 6, 12]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    assert capsys.readouterr().out == "", "answers alone go to stdout"
    # The merged checkpoint is the base with scale * B @ A in the decoder's matrices, and nothing else.
    before, after = (load_model(place)[0].state_dict() for place in (tiny_checkpoint, tmp_path / "run" / "merged"))
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    pairs = adapter(folder)
    assert changed == {name[17:-14] + ".weight" for name in pairs if "lora_A" in name}
    name = "model.language_model.layers.1.mlp.down_proj"
    down, up = (pairs[f"base_model.model.{name}.lora_{letter}.weight"] for letter in "AB")
    torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] + up @ down)
    assert "lm_head.weight" in changed and not [name for name in pairs if ".lora_" not in name]
    unchanged = load_model(tmp_path / "run" / "base")[0].state_dict()
    assert all(torch.equal(value, unchanged[name]) for name, value in before.items())
    config = json.loads((tmp_path / "run" / "merged" / "config.json").read_text())
    assert config["architectures"] == ["MagicVLForConditionalGeneration"] and not config["tie_word_embeddings"]


def test_an_adapter_is_gone_on_with(make_run: MakeRun, tiny_checkpoint: Path, tmp_path: Path) -> None:
    run = make_run(evaluate_every=4, save_every=4)
    first = run_captions(run, tmp_path / "first", base=tiny_checkpoint, resume=False)
    # As a restored one has it: no pattern, but the names of all layers.
    config = json.loads((first / "adapter_config.json").read_text())
    config["target_modules"] = [name[17:-14] for name in adapter(first) if "lora_A" in name]
    (first / "adapter_config.json").write_text(json.dumps(config))
    still = replace(run, learning=Learning(rate=1e-30, warmup=0.0))
    second = run_captions(still, tmp_path / "second", base=tiny_checkpoint, resume=False, adapter=first)
    before, after = adapter(first), adapter(second)
    assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())
    other = replace(run, lora=replace(run.lora, rank=8))
    with pytest.raises(UsageError, match="rank 4 and alpha 4 for 6 layers, the config's is of 8 and 4 for 6"):
        run_captions(other, tmp_path / "third", base=tiny_checkpoint, resume=False, adapter=first)
    with pytest.raises(UsageError, match="no adapter, it has no adapter_config"):
        run_captions(run, tmp_path / "third", base=tiny_checkpoint, resume=False, adapter=tmp_path)
    assert not (tmp_path / "third").exists()


def test_what_learned_tracks_keeps_to_them_on_every_way(
    make_run: MakeRun, clips: Clips, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Trained, converted, restored: each says it, and whoever goes on from there need not."""
    run = make_run(clips=replace(clips, count=2, tracks=True), evaluate_every=9)
    made = run_captions(run, tmp_path / "run", base=tiny_checkpoint, resume=False)
    convert(tmp_path / "run" / "merged", tmp_path / "bundle")
    restore(tmp_path / "bundle", tmp_path / "back")
    assert made.is_dir() and read_bundle(tmp_path / "bundle").lock.film_tracks
    for folder in (tmp_path / "run" / "merged", tmp_path / "back"):
        _, films = open_captioner(folder, clips, 0)
        assert films.settings.tracks and films[0].tracks
    _, films = open_captioner(tiny_checkpoint, clips, 0)
    assert not films.settings.tracks and not films[0].tracks


def test_targets_that_the_decoder_lacks(make_run: MakeRun, tiny_checkpoint: Path, tmp_path: Path) -> None:
    run = make_run(kind="grpo", rows=6, lora=Lora(targets=("q_proj", "w_proj")))
    with pytest.raises(UsageError, match="no layers w_proj"):
        run_captions(run, tmp_path / "run", base=tiny_checkpoint, resume=False)


@pytest.mark.slow
def test_grpo_raises_a_toy_reward(
    make_run: MakeRun, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "make_scorer", lambda _: Vowels())
    run = make_run(
        kind="grpo",
        passes=5.0,
        rows=16,
        learning=Learning(rate=2e-2, warmup=0.0),
        group=Group(answers=8, most_tokens=16, kl=0.0),
        evaluate_every=40,
        save_every=40,
    )
    run_captions(run, tmp_path / "run", base=tiny_checkpoint, resume=False)
    logged = [entry for entry in read_log(tmp_path / "run" / LOG_NAME) if entry["step"]]
    rewards = [entry["rewards/think/mean"] for entry in logged]
    assert len(logged) == 20
    assert sum(rewards[-5:]) > 1.3 * sum(rewards[:5])
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000


def test_half_precision_needs_no_gpu(make_run: MakeRun, tiny_checkpoint: Path, tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        run = replace(make_run(), precision=precision, evaluate_every=100)
        run_captions(run, tmp_path / precision, base=tiny_checkpoint, resume=False)
        losses[precision] = [entry["loss"] for entry in read_log(tmp_path / precision / LOG_NAME) if "loss" in entry]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
