"""Runs a stage: exact to resume, on one device or many.

Written on accelerate: `accelerate launch -m magicvl train STAGE -o DIR` runs it on several GPUs or nodes, by DDP or
FSDP as accelerate is configured. transformers' Trainer would also do, but a kill can leave its checkpoints half
written, its batches count rows and not samples, and a loss over packed rows with dense targets and a rate for each
part would leave little of it but callbacks.
"""

import json
import time
from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, set_seed
from tqdm import tqdm

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.train.ahead import load_ahead
from magicvl.train.curriculum.average import Average
from magicvl.train.curriculum.batches import Batch, Batches, Share, held_out
from magicvl.train.curriculum.dense import KINDS
from magicvl.train.curriculum.keep import export, load_state, save_state, saved_step, take_head
from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.measure import Counts, measure
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.optimisers import make_optimisers, set_rates
from magicvl.train.curriculum.packing import Row, blank_row
from magicvl.train.curriculum.stage import Stage
from magicvl.train.curriculum.start import CHECKPOINT, Begun, begin
from magicvl.train.plots import plot_run
from magicvl.train.run_log import append_log, trim_log
from magicvl.train.stop_signal import StopSignal

LOG_NAME, PLOT_NAME, BOARD_NAME = "log.jsonl", "curves.png", "tensorboard"
DONE_NAME = "done.json"


@dataclass(frozen=True)
class Run:
    """Everything that a step needs."""

    stage: Stage
    begun: Begun
    accelerator: Accelerator
    learner: Any
    """The Learner as accelerate wraps it."""
    optimisers: list[Any]
    average: Average | None
    blank: Row


@dataclass(frozen=True)
class Losses:
    """Of one step, over all devices."""

    answers: float | None
    """Mean of an answer token in nats; None where nothing is answered."""
    dense: float | None
    """Of the dense targets; None without them."""
    tokens: int
    samples: int
    stopped: bool
    """Whether somebody was asked to stop."""


def run_stage(stage: Stage, output: Path, *, resume: bool, workers: int = 1) -> Path:
    """Runs a stage into `output`; returns its checkpoint.

    A run that was stopped or killed goes on with `resume` and gives the weights, bit for bit on a CPU, of one that ran
    through. Raises UsageError where `output` holds a run and `resume` is not set.
    """
    if (output / DONE_NAME).exists() and resume:
        return output / CHECKPOINT
    accelerator = _accelerator(stage, output)
    step = saved_step(output, stage)
    if step is not None and not resume:
        raise UsageError(f"{output} holds a run already; use --resume to go on, or another directory")
    output.mkdir(parents=True, exist_ok=True)
    set_seed(stage.seed)
    run = _prepare(stage, output, accelerator)
    if step is not None:
        load_state(accelerator, output)
    if accelerator.is_main_process:
        trim_log(output / LOG_NAME, step or 0)
    accelerator.init_trackers(BOARD_NAME)
    finished = _steps(run, output, step or 0, workers)
    with run.average.in_place() if run.average else nullcontext():
        export(accelerator, run.learner, run.begun, output)
    if accelerator.is_main_process and finished:
        with whole_file(output / DONE_NAME) as partial:
            partial.write_text(json.dumps(asdict(stage), indent=1), encoding="utf-8")
    accelerator.end_training()
    return output / CHECKPOINT


def _accelerator(stage: Stage, output: Path) -> Accelerator:
    made = Accelerator(
        mixed_precision={"fp32": "no"}.get(stage.precision, stage.precision),
        log_with="tensorboard",
        project_dir=str(output),
    )
    sharded = made.distributed_type == DistributedType.FSDP
    if sharded and (stage.optimiser != "adamw" or stage.average is not None):
        raise UsageError("FSDP keeps parts of each matrix: use the optimiser adamw and no average with it, or DDP")
    return made


def _prepare(stage: Stage, output: Path, accelerator: Accelerator) -> Run:
    begun = begin(stage, output)
    if stage.checkpointing:
        begun.model.activation_checkpointing_enable({"use_reentrant": False})
    plain = Learner(begun.model, begun.processor, stage)
    if stage.start.previous is not None:
        take_head(plain, output / stage.start.previous / CHECKPOINT)
    # In one call: FSDP gives the optimisers its own parts of the weights.
    learner, *optimisers = accelerator.prepare(plain, *make_optimisers(plain, stage))
    average = Average(plain, stage.average) if stage.average is not None else None
    if average is not None:
        accelerator.register_for_checkpointing(average)
    learner.train()
    return Run(stage, begun, accelerator, learner, optimisers, average, blank_row(begun.processor))


def _steps(run: Run, output: Path, start: int, workers: int) -> bool:
    """The steps from `start` on; whether all were made."""
    stage, accelerator = run.stage, run.accelerator
    share = Share(accelerator.process_index, accelerator.num_processes)
    made = Batches(Mixture(stage), run.begun.processor, stage, share)
    rows = held_out(stage, run.begun.processor, share) if stage.answers else []
    main = accelerator.is_main_process
    with (
        tqdm(total=stage.steps, initial=start, unit="step", dynamic_ncols=True, disable=not main) as bar,
        StopSignal() as stopped,
        closing(load_ahead(made, start, workers)) as batches,
    ):
        for step in range(start, stage.steps):
            began = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - began
            losses = train_step(run, batch, step, stop=stopped())
            last = step + 1 == stage.steps or losses.stopped
            entry = _entry(step + 1, losses, time.perf_counter() - began, waited, batch)
            kept = last or (step + 1) % stage.evaluate_every == 0
            if kept:
                entry |= _measured(run, rows, bar)
                save_state(accelerator, output, step + 1, stage)
            _record(run, output, entry)
            if main and kept:
                plot_run(output / LOG_NAME, output / PLOT_NAME, "category")
            bar.set_postfix(_shown(entry))
            bar.update()
            if losses.stopped and step + 1 < stage.steps:
                return False
    return True


def train_step(run: Run, batch: Batch, step: int, *, stop: bool = False) -> Losses:
    """One step of all optimisers over all devices' rows.

    Each loss is a sum over all of them divided by what all of them count, so neither packing nor the number of devices
    changes it.
    """
    stage, accelerator = run.stage, run.accelerator
    totals, most = _totals(run, batch, stop)
    rows = [*batch.rows, *[run.blank] * (most - len(batch.rows))]
    answers = torch.zeros((), device=accelerator.device)
    dense = torch.zeros((), device=accelerator.device)
    for number, row in enumerate(rows):
        last = number + 1 == len(rows)
        # Gradients travel once a step.
        with nullcontext() if last else accelerator.no_sync(run.learner):
            outcome = run.learner(row)
            answer_loss = outcome.answers / totals[0].clamp(min=1)
            dense_loss = (outcome.dense / totals[1 : 1 + KINDS].clamp(min=1)).sum()
            # DDP and FSDP take the mean over processes; ours is a sum.
            accelerator.backward((answer_loss + stage.dense * dense_loss) * accelerator.num_processes)
        answers += answer_loss.detach()
        dense += dense_loss.detach()
    accelerator.clip_grad_norm_(run.learner.parameters(), stage.clip)
    set_rates(run.optimisers, step, stage)
    for optimiser in run.optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    if run.average is not None:
        run.average.update()
    shown = accelerator.reduce(torch.stack([answers, dense])).tolist()
    tokens, samples, stops = (int(each) for each in totals[-3:].tolist())
    return Losses(shown[0] if stage.answers else None, shown[1] if stage.dense else None, tokens, samples, stops > 0)


def _totals(run: Run, batch: Batch, stop: bool) -> tuple[torch.Tensor, int]:
    """Sums over all devices: answer tokens, the dense targets' totals, tokens, samples, stop signs; and most rows."""
    accelerator = run.accelerator
    dense = [row.dense.totals() for row in batch.rows if row.dense is not None] or [torch.zeros(KINDS)]
    counts = [
        torch.tensor([float(sum(row.answers for row in batch.rows))]),
        torch.stack(dense).sum(0),
        torch.tensor([float(sum(len(row.ids) for row in batch.rows)), float(sum(row.samples for row in batch.rows))]),
        torch.tensor([float(stop)]),
    ]
    mine = torch.cat(counts).to(accelerator.device)
    rows = torch.tensor([max(1, len(batch.rows))], device=accelerator.device)
    most = int(max(accelerator.gather(rows).tolist()))
    sums: torch.Tensor = accelerator.reduce(mine)
    return sums, most


def _measured(run: Run, rows: list[Row], bar: Any) -> dict[str, Any]:
    if not run.stage.answers:
        return {}
    with run.average.in_place() if run.average else nullcontext():
        counts, loss = measure(run.accelerator, run.learner, rows, run.blank)
    if not bar.disable:
        bar.write(_summary(bar.n + 1, counts), file=bar.fp)
    return {"accuracy": {name: [*pair] for name, pair in counts.items()}, "held_out_loss": loss}


def _summary(step: int, counts: Counts) -> str:
    shares = (f"{name} {100 * right // asked}%" for name, (right, asked) in counts.items())
    return f"step {step}  " + "  ".join(shares)


def _entry(step: int, losses: Losses, seconds: float, waited: float, batch: Batch) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "step": step,
        "answers": losses.answers,
        "dense": losses.dense,
        "tokens": losses.tokens,
        "samples": losses.samples,
        "seconds": round(seconds, 4),
        "waited": round(waited, 4),
    }
    return entry | ({"left_out": dict(Counter(batch.left_out))} if batch.left_out else {})


def _record(run: Run, output: Path, entry: dict[str, Any]) -> None:
    """One line of log.jsonl, and the same for TensorBoard."""
    if run.accelerator.is_main_process:
        append_log(output / LOG_NAME, entry)
    numbers = {name: entry[name] for name in ("answers", "dense", "held_out_loss") if entry.get(name) is not None}
    numbers["tokens_per_second"] = entry["tokens"] / entry["seconds"]
    shares = {f"accuracy/{name}": right / asked for name, (right, asked) in entry.get("accuracy", {}).items()}
    run.accelerator.log(numbers | shares, step=entry["step"])


def _shown(entry: dict[str, Any]) -> dict[str, str]:
    shown = {name: f"{entry[name]:.3f}" for name in ("answers", "dense") if entry[name] is not None}
    return shown | {"tok/s": f"{entry['tokens'] / entry['seconds']:,.0f}"}
