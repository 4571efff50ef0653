"""Trains captions: from a checkpoint to an adapter of its decoder, exact to resume.

DIR/config.json   what was run
DIR/state/        the trainer's own states to go on from: adapter, optimiser, random numbers, step
DIR/adapter/      the LoRA, PEFT's layout: for `magicvl convert --caption-adapter` and `magicvl train join`
DIR/merged/       the checkpoint with the LoRA in it: what the next run begins with
DIR/base/         where `lora.head` is set: what the LoRA is of, the checkpoint with an output head of its own, and with
                  new input vectors for words that were never met
DIR/log.jsonl  DIR/curves.png
"""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, set_seed

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.adapter import check_targets, lora_config, with_adapter, with_same_adapter
from magicvl.train.generator.dataset import Split
from magicvl.train.load_model import load_model
from magicvl.train.run_log import trim_log
from magicvl.train.stop_signal import StopSignal
from magicvl.train.video.captioner import Captioner, captioner_of
from magicvl.train.video.films import Films
from magicvl.train.video.held_out import held_out_scores
from magicvl.train.video.merging import write_checkpoint
from magicvl.train.video.rewards import Scorer, make_scorer
from magicvl.train.video.settings import CaptionRun, Clips
from magicvl.train.video.visual_ids import VisualTokens
from magicvl.train.video.watch import LOG_NAME, Watch

ADAPTER, MERGED, BASE = "adapter", "merged", "base"
STATE, CONFIG, DONE = "state", "config.json", "done.json"
FREE = frozenset({"name", "base", "rows", "save_every", "evaluate_every", "evaluate_films"})
"""Settings that may be others when a run is gone on with: what is learned does not depend on them."""
TRAINER_STATE = "trainer_state.json"
"""What the trainer writes last into a state."""


def run_captions(run: CaptionRun, output: Path, *, base: Path, resume: bool, adapter: Path | None = None) -> Path:
    """Runs into `output`; returns the adapter's directory, which is there when all steps were made.

    `adapter` is a LoRA of the base, like the run's own, to begin with instead of a new one. A run that was stopped or
    killed goes on with `resume`. Raises UsageError where `output` holds a run and `resume` is not set, or holds
    another run.
    """
    if (output / DONE).exists() and resume:
        return output / ADAPTER
    state = _saved_state(run, output, resume=resume)
    set_seed(run.seed)
    captioner, films = open_captioner(base, run.clips, run.evaluate_films, untie=run.lora.head)
    check_targets(captioner, run.lora)
    scorer = make_scorer(run.group.rewards)
    trainer = make_trainer(run, captioner, films, scorer, output, adapter)
    output.mkdir(parents=True, exist_ok=True)
    with whole_file(output / CONFIG) as path:
        path.write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")
    trim_log(output / LOG_NAME, _step(state) if state else -1)
    measure = partial(held_out_scores, films=films, scorer=scorer, most_tokens=run.group.most_tokens)
    with StopSignal() as stopped, warnings.catch_warnings():
        # TRL calls transformers by names that are going out of use.
        warnings.simplefilter("ignore", FutureWarning)
        # An adapter of the head: states keep the head itself too, what the run is for does not.
        warnings.filterwarnings("ignore", "Setting `save_embedding_layers`")
        trainer.add_callback(Watch(run, output, measure, stopped))
        trainer.train(resume_from_checkpoint=str(state) if state else None)
    if trainer.state.global_step == run.steps:
        _finish(trainer, films.processor, output, untied=run.lora.head)
    return output / ADAPTER


def open_captioner(
    base: Path, clips: Clips, held_out: int, split: Split = "validation", *, untie: bool = False
) -> tuple[Captioner, Films]:
    """A model, and films that it sees: `held_out` of them of the split; `untie` as captioner_of has it.

    Raises UsageError.
    """
    model, processor = load_model(base)
    config: Any = model.config
    # Checkpoints say it, and so do the bundles that are made of them.
    config.film_tracks = clips.tracks or config.film_tracks
    clips = replace(clips, tracks=config.film_tracks)
    captioner, films = captioner_of(model, untie=untie), Films(clips, processor, held_out, split)
    captioner.model.films = VisualTokens(partial(_look, captioner, films))
    return captioner, films


def make_trainer(
    run: CaptionRun, captioner: Captioner, films: Films, scorer: Scorer, output: Path, adapter: Path | None = None
) -> Trainer:
    """The trainer of a run, with a new adapter around the captioner, or the one to begin with."""
    arguments = trainer_arguments(run, output)
    trainer: Trainer
    if run.kind == "grpo":
        if adapter is not None:
            raise UsageError(f"--adapter {adapter}: no effect on rewards; merge it, and give that as --base")
        from magicvl.train.video.grpo import grpo_trainer

        trainer = grpo_trainer(captioner, lora_config(run.lora), films, scorer, run.group, arguments)
    else:
        from magicvl.train.video.supervised import supervised_trainer

        begun = with_same_adapter(captioner, run.lora, adapter) if adapter else with_adapter(captioner, run.lora, None)
        trainer = supervised_trainer(begun, films, arguments, run)
    # It prints what is logged to stdout; Watch says it on stderr.
    trainer.remove_callback(PrinterCallback)
    return trainer


def trainer_arguments(run: CaptionRun, output: Path) -> dict[str, Any]:
    """transformers' names for a run's settings."""
    learning = run.learning
    return {
        "output_dir": str(output / STATE),
        "max_steps": run.steps,
        "per_device_train_batch_size": run.rows,
        "gradient_accumulation_steps": run.step_rows // run.rows,
        "learning_rate": learning.rate,
        "lr_scheduler_type": "cosine_warmup_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": learning.floor},
        "warmup_steps": round(learning.warmup * run.steps),
        "weight_decay": learning.weight_decay,
        "adam_beta2": learning.beta2,
        "max_grad_norm": learning.clip,
        "logging_steps": 1,
        "save_steps": run.save_every,
        "save_total_limit": 2,
        "seed": run.seed,
        # Without it transformers refuses half precision where there is no GPU.
        "use_cpu": not torch.cuda.is_available(),
        "bf16": run.precision == "bf16",
        "fp16": run.precision == "fp16",
        "activation_checkpointing": run.checkpointing,
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "report_to": "none",
    }


def _look(captioner: Captioner, films: Films, number: int) -> torch.Tensor:
    """The visual tokens of a film's frames, in order."""
    given = {name: value.to(captioner.device) for name, value in films.patches(number).items()}
    return torch.cat(captioner.model.encode_tiles(given["pixel_values"], given["spatial_shapes"]))


def _saved_state(run: CaptionRun, output: Path, *, resume: bool) -> Path | None:
    """The newest state that was written whole. Raises UsageError where the run there is not to be gone on with."""
    if not (output / CONFIG).is_file():
        return None
    if not resume:
        raise UsageError(f"{output} holds a run already; use --resume to go on, or another directory")
    before, ours = json.loads((output / CONFIG).read_text(encoding="utf-8")), json.loads(json.dumps(asdict(run)))
    if changed := sorted(key for key in ours if key not in FREE and ours[key] != before.get(key)):
        raise UsageError(f"{output}: its run had another {', '.join(changed)}; use the same config, or a new directory")
    states = [path for path in (output / STATE).glob("checkpoint-*") if _step(path) >= 0]
    return max(states, key=_step, default=None)


def _step(state: Path) -> int:
    """A state's step; -1 where a kill cut it short."""
    try:
        return int(json.loads((state / TRAINER_STATE).read_text(encoding="utf-8"))["global_step"])
    except (OSError, ValueError, KeyError):
        return -1


def _finish(trainer: Trainer, processor: MagicVLProcessor, output: Path, *, untied: bool) -> None:
    """Writes what the run is for, each directory whole."""
    trainer.accelerator.wait_for_everyone()
    if not trainer.accelerator.is_main_process:
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    _replace(output / ADAPTER, partial(model.save_pretrained, save_embedding_layers=False))
    _replace(output / MERGED, lambda folder: write_checkpoint(model, processor, folder))
    if untied:
        _replace(output / BASE, lambda folder: write_checkpoint(model, processor, folder, adapter=False))
    with whole_file(output / DONE) as path:
        path.write_text(json.dumps({"steps": trainer.state.global_step}), encoding="utf-8")


def _replace(folder: Path, write: Callable[[Path], object]) -> None:
    fresh = folder.with_name(f"{folder.name}.new")
    for old in (fresh, folder):
        shutil.rmtree(old, ignore_errors=True)
    write(fresh)
    fresh.rename(folder)
