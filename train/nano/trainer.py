"""Trains a MagicVL model from a config: resumable, with a progress line, a loss curve and held-out accuracy."""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tqdm import tqdm

from magicvl.errors import UsageError
from magicvl.mmproj.configuration import config_from_preset
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.presets import preset
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.ahead import load_ahead
from magicvl.train.load_model import load_model
from magicvl.train.muon import Muon
from magicvl.train.nano.batches import IGNORED, Batch
from magicvl.train.nano.config import TrainConfig
from magicvl.train.nano.dense import DenseHead
from magicvl.train.nano.evaluate import accuracy, held_out_samples, look, read_batch
from magicvl.train.nano.items import ItemHead
from magicvl.train.nano.micro_batches import MicroBatches
from magicvl.train.nano.vocabulary import build_tokenizer
from magicvl.train.plots import plot_run
from magicvl.train.run_log import append_log, trim_log
from magicvl.train.stop_signal import StopSignal
from magicvl.train.vocabulary import IMAGE

LOG_NAME = "log.jsonl"
PLOT_NAME = "curves.png"
STATE_NAME = "state.pt"


class Heads(torch.nn.Module):
    """What reads dense targets off the model's states while it is trained; no part of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense, self.items = DenseHead(width), ItemHead(width)


@dataclass(frozen=True)
class Learner:
    """What changes in a run, and by which rules."""

    model: MagicVLForConditionalGeneration
    heads: Heads
    optimizers: list[torch.optim.Optimizer]
    config: TrainConfig

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Of model and heads, those that learn."""
        its = (*self.model.parameters(), *self.heads.parameters())
        return [parameter for parameter in its if parameter.requires_grad]


@dataclass(frozen=True)
class Losses:
    """Of one step, in nats."""

    answers: float | None
    """Mean over all answer tokens; None where nothing was asked."""
    dense: float | None
    """Of the dense targets, a mean over micro-batches; None where the encoder rests."""
    places: float | None
    """Likewise of places in the whole picture; None where they are not learned."""
    items: float | None
    """Likewise of which thing an answer's next word is about."""


def train(config: TrainConfig, output: Path, *, resume: bool, workers: int = 1, base: Path | None = None) -> Path:
    """Runs the config into `output`, whose `checkpoint/` is a Hugging Face directory; returns that.

    `base` is a checkpoint or a bundle to begin with instead of a new model. A run that was killed goes on from its
    last checkpoint with `resume`, and gives the same weights as one that ran through, because data and rates are
    functions of the step. Raises UsageError where `output` holds a run and `resume` is not set.
    """
    checkpoint = output / "checkpoint"
    if checkpoint.exists() and not resume:
        raise UsageError(f"{output} holds a run already; use --resume to go on, or another directory")
    torch.manual_seed(config.seed)
    model, processor = load_model(checkpoint) if checkpoint.exists() else begin(config, base)
    output.mkdir(parents=True, exist_ok=True)
    width = preset(config.preset).language.width
    heads = Heads(width)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for half in (model.model.vision_tower, model.model.multi_modal_projector):
        half.requires_grad_(config.encoder)
    model.to(torch.device(device))  # type: ignore[arg-type]  # its stub is a decorator
    heads.to(device)
    learner = Learner(model, heads, make_optimizers(model, heads, config), config)
    step = _load_state(checkpoint, learner) if checkpoint.exists() else 0
    trim_log(output / LOG_NAME, step)
    _run(learner, processor, output, step, workers)
    return checkpoint


def begin(config: TrainConfig, base: Path | None) -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    """The model that a run starts from, and its processor. Raises UsageError for a base of another shape."""
    if base is None:
        return _told(*create(config), config)
    model, processor = load_model(base)
    shape: Any = model.config.text_config
    width, due = shape.hidden_size, preset(config.preset).language.width
    if width != due:
        raise UsageError(f"{base}: its decoder is {width} wide, {config.preset} is {due}; give a base of that preset")
    return _told(model, processor, config)


def _told(
    model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, config: TrainConfig
) -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    """Both, with what the config has stand around tiles."""
    processor.picture_pieces = dict(processor.picture_pieces) | config.pieces
    model.config.picture_pieces = dict(processor.picture_pieces)
    return model, processor


def create(config: TrainConfig) -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    """A fresh model of the config's preset, with its own vocabulary, and its processor."""
    shape = preset(config.preset)
    tokenizer = build_tokenizer(shape.language.vocabulary)
    model_config = config_from_preset(
        shape,
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model_config.image_token_id = tokenizer.get_vocab()[IMAGE]
    model = MagicVLForConditionalGeneration(model_config)
    smooth_positions(model)
    return model, MagicVLProcessor(tokenizer, tile_size=model_config.tile_size, max_tiles=model_config.max_tiles)


def smooth_positions(model: MagicVLForConditionalGeneration) -> None:
    """Starts the position table as sines and cosines of row and column.

    A table of independent noise averages to nothing when it is shrunk to the small grids; a smooth one keeps its
    meaning at every size.
    """
    table = model.model.vision_tower.embeddings.position_embedding.weight
    side, width = int(len(table) ** 0.5), table.shape[1]
    # From one period over the tile to one every three patches.
    waves = torch.logspace(0, 3, width // 4, base=2.0) * torch.pi / side * 2
    along = (torch.arange(side)[:, None] + 0.5) * waves
    bands = torch.cat([along.sin(), along.cos()], dim=1)
    rows = bands[:, None].expand(side, side, -1)
    columns = bands[None].expand(side, side, -1)
    with torch.no_grad():
        grid = torch.cat([rows, columns], dim=-1).reshape(side * side, -1)
        table[:, : grid.shape[1]] = grid * 0.2


def make_optimizers(
    model: MagicVLForConditionalGeneration, heads: torch.nn.Module, config: TrainConfig
) -> list[torch.optim.Optimizer]:
    """AdamW for tables, vectors and the ends of the model; Muon for the matrices between, if it has a rate."""
    inside: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    rest = [*heads.parameters()]
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inside if matrix and config.muon_rate else decayed if matrix else rest).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    groups = [group | {"peak": config.learning_rate} for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    ]
    if inside:
        group = {"params": inside, "peak": config.muon_rate}
        optimizers.append(Muon([group], lr=config.muon_rate, weight_decay=config.weight_decay))
    return optimizers


def rate(step: int, config: TrainConfig) -> float:
    """Share of the peak learning rate at a step: warm-up, constant, linear decay to zero."""
    return min(1.0, (step + 1) / max(1, config.warmup), (config.steps - step) / max(1, config.decay))


def _run(learner: Learner, processor: MagicVLProcessor, output: Path, start: int, workers: int) -> None:
    config = learner.config
    samples = held_out_samples("validation", config.evaluate_pictures, config.stages[-1])
    made = MicroBatches(config, processor)
    learner.model.train()
    with (
        _threads(config.micro_batches) as pool,
        tqdm(total=config.steps, initial=start, unit="step", dynamic_ncols=True) as bar,
        StopSignal() as stopped,
        closing(load_ahead(made, start * config.micro_batches, workers)) as batches,
    ):
        for step in range(start, config.steps):
            losses = train_step(learner, [next(batches) for _ in range(config.micro_batches)], step, pool)
            entry: dict[str, Any] = {"step": step + 1} | asdict(losses)
            last = step + 1 == config.steps or stopped()
            if last or (step + 1) % config.evaluate_every == 0:
                if losses.answers is not None:
                    measured = accuracy(learner.model, processor, samples)
                    entry["accuracy"] = {task: [*counts] for task, counts in measured.items()}
                    bar.write(_summary(step + 1, measured), file=bar.fp)
                _save(learner, processor, step + 1, output / "checkpoint")
            append_log(output / LOG_NAME, entry)
            if "accuracy" in entry:
                plot_run(output / LOG_NAME, output / PLOT_NAME)
            shown = {name: f"{value:.3f}" for name, value in asdict(losses).items() if value is not None}
            bar.set_postfix(shown)
            bar.update()
            if last:
                break


def train_step(learner: Learner, batches: Sequence[Batch], step: int, pool: Executor) -> Losses:
    """One optimiser step over all micro-batches, each in a thread of the pool."""
    asked = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
    parts = [*pool.map(partial(_micro_step, learner, step, 1 / len(batches), asked), batches)]
    # Added in the order of the batches, so that a resumed run adds up to the same bits.
    for parameter, *gradients in zip(learner.parameters, *(part.gradients for part in parts), strict=True):
        found = [gradient for gradient in gradients if gradient is not None]
        parameter.grad = sum(found[1:], start=found[0]) if found else None
    torch.nn.utils.clip_grad_norm_(learner.model.parameters(), learner.config.clip)
    for optimizer in learner.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate(step, learner.config)
        optimizer.step()
    return _losses([part.losses for part in parts])


def _losses(parts: Sequence[Mapping[str, float]]) -> Losses:
    """Of a step, from those of its micro-batches; each one's answers are a share of the mean over all already."""
    known = {field.name: [part[field.name] for part in parts if field.name in part] for field in fields(Losses)}
    answers = known.pop("answers")
    means = {name: sum(each) / len(each) if each else None for name, each in known.items()}
    return Losses(answers=sum(answers) if answers else None, **means)


@dataclass(frozen=True)
class _MicroStep:
    """What one micro-batch adds to a step."""

    gradients: tuple[torch.Tensor | None, ...]
    losses: Mapping[str, float]
    """By the names of `Losses`: those that were learned from."""


def _micro_step(learner: Learner, step: int, share: float, asked: int, batch: Batch) -> _MicroStep:
    """Gradients of one micro-batch; the decoder rests where none of them asks anything."""
    model, heads, config = learner.model, learner.heads, learner.config
    seen = look(model, batch)
    losses: dict[str, torch.Tensor] = {}

    def felt(states: torch.Tensor) -> torch.Tensor:
        """A head that is new beside a trained model would only spoil it: at first it learns alone."""
        return states.detach() if step < config.head_steps else states

    if config.encoder:
        losses["dense"] = heads.dense.loss(felt(torch.cat(seen)), batch.dense)
    if asked:
        read = read_batch(model, batch, seen)
        logits, labels = read.logits.flatten(0, 1), batch.labels.to(model.device).flatten()
        losses["answers"] = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / asked
        if config.place_weight:
            losses["places"] = heads.dense.place_loss(felt(read.middle), batch.dense)
        if config.item_weight:
            losses["items"] = heads.items(felt(read.late), batch.items)
    weights = {
        "answers": 1.0,
        "dense": config.dense_weight * share,
        "places": config.place_weight * share,
        "items": config.item_weight * share,
    }
    loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
    gradients = torch.autograd.grad(loss, learner.parameters, allow_unused=True)
    return _MicroStep(gradients, {name: float(value.detach()) for name, value in losses.items()})


def _threads(most: int) -> Executor:
    """Threads that share the cores, for micro-batches side by side: two of one thread each take a fifth less time than
    one after the other on both cores (LOG.md)."""
    cores = torch.get_num_threads()
    threads = 1 if torch.cuda.is_available() else min(most, cores)
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores // threads,))


def _save(learner: Learner, processor: MagicVLProcessor, step: int, checkpoint: Path) -> None:
    """Writes beside and renames, so that a kill at any moment leaves a whole checkpoint."""
    fresh, old = checkpoint.with_name("checkpoint.new"), checkpoint.with_name("checkpoint.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    learner.model.save_pretrained(fresh)
    processor.save_pretrained(fresh)
    state = {
        "step": step,
        "heads": learner.heads.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in learner.optimizers],
    }
    torch.save(state, fresh / STATE_NAME)
    (fresh / "training.json").write_text(json.dumps(asdict(learner.config), indent=1), encoding="utf-8")
    if checkpoint.exists():
        checkpoint.rename(old)
    fresh.rename(checkpoint)
    shutil.rmtree(old, ignore_errors=True)


def _load_state(checkpoint: Path, learner: Learner) -> int:
    state = torch.load(checkpoint / STATE_NAME, weights_only=True)
    learner.heads.load_state_dict(state["heads"])
    for optimizer, saved in zip(learner.optimizers, state["optimizers"], strict=True):
        peaks = [group["peak"] for group in optimizer.param_groups]
        optimizer.load_state_dict(saved)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
    return int(state["step"])


def _summary(step: int, measured: dict[str, tuple[int, int]]) -> str:
    shares = (f"{task} {100 * right // asked}%" for task, (right, asked) in measured.items())
    return f"step {step}  " + "  ".join(shares)
