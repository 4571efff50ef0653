"""Runs: the loss falls, what is frozen stays, a killed run goes on bit for bit, two processes do what one does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from magicvl.convert.bundle import convert
from magicvl.edge.bundle import read_bundle
from magicvl.errors import UsageError
from magicvl.train.curriculum.average import Average
from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.optimisers import make_optimisers
from magicvl.train.curriculum.stage import Lora, Rates, Stage, Start
from magicvl.train.curriculum.start import begin
from magicvl.train.curriculum.trainer import LOG_NAME, run_stage
from magicvl.train.run_log import read_log

MakeStage = Callable[..., Stage]


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps one state a process; a command is one run, a test file many."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")


def test_a_stage_learns_and_leaves_what_a_user_needs(make_stage: MakeStage, tmp_path: Path) -> None:
    stage = make_stage(steps=12, evaluate_every=6, average=0.5)
    checkpoint = run_stage(stage, tmp_path / "run", resume=False, workers=0)
    logged = read_log(tmp_path / "run" / LOG_NAME)
    assert [entry["step"] for entry in logged] == list(range(1, 13))
    assert logged[-1]["answers"] < 0.6 * logged[0]["answers"]
    assert [entry["step"] for entry in logged if "accuracy" in entry] == [6, 12]
    counts = logged[-1]["accuracy"]
    assert set(counts) == {"text", "vqa"} and sum(asked for _, asked in counts.values()) >= 6
    assert sum(entry["samples"] for entry in logged) == 72
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))
    convert(checkpoint, tmp_path / "bundle")
    read_bundle(tmp_path / "bundle").verify()
    with pytest.raises(UsageError, match="holds a run already"):
        run_stage(stage, tmp_path / "run", resume=False)
    assert run_stage(stage, tmp_path / "run", resume=True) == checkpoint, "what is done is done"


@pytest.mark.parametrize("trained", ["encoder", "projector", "language"])
def test_only_what_has_a_rate_is_trained(trained: str, make_stage: MakeStage, tmp_path: Path) -> None:
    stage = make_stage(rates=Rates(**{trained: 1e-2}), dense=0.1)
    begun = begin(stage, tmp_path)
    learner = Learner(begun.model, begun.processor, stage)
    groups = [group for each in make_optimisers(learner, stage) for group in each.param_groups]
    rates = {id(parameter): group["peak"] for group in groups for parameter in group["params"]}
    marks = {"encoder": "vision_tower", "projector": "multi_modal_projector", "language": "language_model"}
    for name, parameter in learner.named_parameters():
        expected = 1e-2 if marks[trained] in name else stage.rates.dense if name.startswith("head.") else None
        assert rates.get(id(parameter)) == expected, name
        assert parameter.requires_grad == (expected is not None), name


def test_an_adapter_goes_from_stage_to_stage_and_into_the_bundle(
    make_stage: MakeStage, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    lora = Lora(rank=2, alpha=4, targets=("q_proj", "down_proj"))
    first = make_stage(steps=1, samples=3, evaluate_samples=1, rates=Rates(language=1e-2), lora=lora)
    checkpoint = run_stage(first, tmp_path / "one", resume=False, workers=0)
    before, after = weights(tiny_checkpoint), weights(checkpoint)
    assert all(torch.equal(before[name], after[name]) for name in before)
    AcceleratorState._reset_state(reset_partial_state=True)
    second = make_stage(steps=1, samples=3, evaluate_samples=1, rates=Rates(language=1e-2), lora=lora,
                        start=Start(previous="../one"))  # fmt: skip
    run_stage(second, tmp_path / "two", resume=False, workers=0)
    pairs = [load_file(tmp_path / run / "adapter" / "adapter_model.safetensors") for run in ("one", "two")]
    assert pairs[0].keys() == pairs[1].keys()
    # The second went on: its A is the first's, a step further, and not drawn anew.
    for name, value in pairs[0].items():
        assert 0 < float((pairs[1][name] - value).abs().max()) < 0.05
    report = convert(tmp_path / "two" / "checkpoint", tmp_path / "bundle", adapter=tmp_path / "two" / "adapter")
    assert "lora" in read_bundle(tmp_path / "bundle").lock.files, report
    # Without `lora` a stage merges it.
    AcceleratorState._reset_state(reset_partial_state=True)
    third = make_stage(
        steps=1, samples=3, evaluate_samples=1, rates=Rates(encoder=1e-9), start=Start(previous="../two")
    )
    merged = weights(run_stage(third, tmp_path / "three", resume=False, workers=0))
    name = "model.language_model.layers.0.self_attn.q_proj"
    down, up = (pairs[1][f"base_model.model.{name}.lora_{letter}.weight"] for letter in "AB")
    torch.testing.assert_close(merged[f"{name}.weight"], before[f"{name}.weight"] + 2 * up @ down)


def test_an_average_follows_and_gives_the_weights_back() -> None:
    module = torch.nn.Linear(2, 2)
    average = Average(module, 0.9)
    with torch.no_grad():
        module.weight.add_(1.0)
    average.update()
    after = module.weight.detach().clone()
    with average.in_place():
        # (1 + 1) / (10 + 1) of the old weights stay in the first step.
        torch.testing.assert_close(module.weight, after - 2 / 11)
    assert torch.equal(module.weight, after)


def stage_file(folder: Path, data: Path, checkpoint: Path, **fields: Any) -> Path:
    lines = {"steps": 9, "samples": 6, "row_tokens": 96, "warmup": 1, "evaluate_every": 3, "evaluate_samples": 6}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in (lines | fields).items())
    path = folder / "stage.toml"
    path.write_text(
        f'{text}[start]\ncheckpoint = "{checkpoint}"\n[rates]\nencoder = 1e-3\nprojector = 1e-3\nlanguage = 1e-3\n'
        f'[[data]]\nspec = "llava:{data}"\n'
    )
    return path


def command(config: Path, output: Path, *more: str) -> list[str]:
    return ["-m", "magicvl", "train", str(config), "-o", str(output), "--workers", "0", *more]


ALONE = os.environ | {"OMP_NUM_THREADS": "1"}


def wait_for(path: Path, lines: int, process: subprocess.Popen[str]) -> None:
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("how", "optimiser"), [(signal.SIGKILL, "muon"), (signal.SIGINT, "adamw")])
def test_a_stopped_run_goes_on_bit_for_bit(
    how: signal.Signals, optimiser: str, colour_samples: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Killed in the middle of a step past the last saved state, or stopped by Ctrl-C; with an average too."""
    config = stage_file(tmp_path, colour_samples, tiny_checkpoint, average=0.9, optimiser=optimiser)
    subprocess.run([sys.executable, *command(config, tmp_path / "through")], env=ALONE, check=True, timeout=600)
    process = subprocess.Popen(
        [sys.executable, *command(config, tmp_path / "cut")], env=ALONE, stderr=subprocess.PIPE, text=True
    )
    wait_for(tmp_path / "cut" / LOG_NAME, 5, process)
    process.send_signal(how)
    process.communicate(timeout=600)
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    assert not (tmp_path / "cut" / "done.json").exists()
    if how == signal.SIGINT:
        weights(tmp_path / "cut" / "checkpoint")
    again = [sys.executable, *command(config, tmp_path / "cut", "--resume")]
    subprocess.run(again, env=ALONE, check=True, timeout=600)
    one, other = weights(tmp_path / "through" / "checkpoint"), weights(tmp_path / "cut" / "checkpoint")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [read_log(tmp_path / run / LOG_NAME) for run in ("through", "cut")]
    assert [entry["step"] for entry in logs[1]] == list(range(1, 10))
    assert [entry["answers"] for entry in logs[0]] == [entry["answers"] for entry in logs[1]]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_workers_too_stops_after_the_step(
    how: signal.Signals, colour_samples: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """As a terminal and a service manager send it: to every process of the group."""
    config = stage_file(tmp_path, colour_samples, tiny_checkpoint, steps=500, evaluate_every=1000)
    run = [sys.executable, *command(config, tmp_path / "cut", "--workers", "2")]
    process = subprocess.Popen(run, env=ALONE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(tmp_path / "cut" / LOG_NAME, 3, process)
    os.killpg(process.pid, how)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "Traceback" not in error
    assert len(read_log(tmp_path / "cut" / LOG_NAME)) < 500
    weights(tmp_path / "cut" / "checkpoint")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_changed_stage_does_not_go_on(colour_samples: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = stage_file(tmp_path, colour_samples, tiny_checkpoint, steps=2, evaluate_every=1)
    process = subprocess.Popen([sys.executable, *command(config, tmp_path / "run")], env=ALONE)
    wait_for(tmp_path / "run" / LOG_NAME, 1, process)  # type: ignore[arg-type]
    process.kill()
    process.wait()
    stage_file(tmp_path, colour_samples, tiny_checkpoint, steps=2, evaluate_every=1, samples=5, clip=2.0)
    done = subprocess.run(
        [sys.executable, *command(config, tmp_path / "run", "--resume")],
        env=ALONE, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    # Killed before the first state was whole, it simply starts again.
    assert done.returncode in (0, 2)
    if done.returncode == 2:
        assert "its run had another clip, samples" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_reach_the_loss_of_one(colour_samples: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """With 5 samples a step one process has 3 and the other 2, packed into rows of their own."""
    config = stage_file(tmp_path, colour_samples, tiny_checkpoint, samples=5, steps=4, evaluate_every=4)
    subprocess.run([sys.executable, *command(config, tmp_path / "one")], env=ALONE, check=True, timeout=600)
    # accelerate's own launcher wants MPI for processes on CPUs; torch's does without, and accelerate finds its marks.
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    arguments = command(config, tmp_path / "two")
    subprocess.run([*launch, *arguments], env=ALONE | {"ACCELERATE_USE_CPU": "true"}, check=True, timeout=600)
    logs = [read_log(tmp_path / run / LOG_NAME) for run in ("one", "two")]
    for one, two in zip(*logs, strict=True):
        assert one["answers"] == pytest.approx(two["answers"], rel=1e-4)
        assert (one["tokens"], one["samples"]) == (two["tokens"], two["samples"])
        assert one.get("accuracy") == two.get("accuracy")
    one, two = weights(tmp_path / "one" / "checkpoint"), weights(tmp_path / "two" / "checkpoint")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-4, rtol=1e-3)
