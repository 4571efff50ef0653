"""What a run keeps: a state to go on from exactly, and the model for whoever comes next.

    DIR/state/        weights, optimisers, average, random numbers (accelerate's), and the step
    DIR/checkpoint/   the model and its processor, in Hugging Face's layout: for `convert` and the next stage
    DIR/adapter/      the LoRA of the decoder, PEFT's layout: for `convert --adapter`

Each is written beside and renamed, so that a kill at any moment leaves a whole one.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import get_peft_model_state_dict

from magicvl.errors import UsageError
from magicvl.train.complexity.table import levels, read_table
from magicvl.train.curriculum.adapter import base_weights
from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.stage import Stage
from magicvl.train.curriculum.start import ADAPTER, CHECKPOINT, Begun

STATE, STEP_FILE, HEAD_FILE = "state", "step.json", "dense.pt"


def save_state(accelerator: Accelerator, folder: Path, step: int, stage: Stage) -> None:
    """Saves everything that the next step depends on; all processes call it."""

    def write(place: Path) -> None:
        # Not as safetensors: those refuse tables that are tied, or warn about them at every save.
        accelerator.save_state(str(place), safe_serialization=False)
        if accelerator.is_main_process:
            data = {"step": step, "devices": accelerator.num_processes, "stage": _remembered(stage)}
            (place / STEP_FILE).write_text(json.dumps(data, indent=1), encoding="utf-8")

    _swap(accelerator, folder / STATE, write)


def saved_step(folder: Path, stage: Stage) -> int | None:
    """The step of the saved state, None where there is none. Raises UsageError where it is another stage's."""
    _finish_swap(folder / STATE)
    path = folder / STATE / STEP_FILE
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    ours = json.loads(json.dumps(_remembered(stage)))
    # What is only looked at may change; what is learned may not.
    free = {"evaluate_every", "evaluate_samples", "held_out", "name", "start"}
    if changed := sorted(key for key in ours if key not in free and ours[key] != data["stage"].get(key)):
        raise UsageError(
            f"{folder}: its run had another {', '.join(changed)}; use the stage as it was, or a new directory"
        )
    return int(data["step"])


def _remembered(stage: Stage) -> dict[str, Any]:
    """What a state says of its stage: of the table of complexity what it says, wherever it lies."""
    table = None if stage.complexity is None else levels(read_table(Path(stage.complexity)))
    return asdict(stage) | {"complexity": table}


def load_state(accelerator: Accelerator, folder: Path) -> None:
    """Puts the saved state into what accelerate prepared."""
    accelerator.load_state(str(folder / STATE))


def export(accelerator: Accelerator, learner: Any, begun: Begun, folder: Path) -> None:
    """Writes the model, its adapter and the dense head; all processes call it."""
    weights = accelerator.get_state_dict(learner)
    plain = accelerator.unwrap_model(learner)
    assert isinstance(plain, Learner)
    inner = {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}

    def write_model(place: Path) -> None:
        if accelerator.is_main_process:
            begun.model.save_pretrained(place, state_dict=base_weights(inner))
            begun.processor.save_pretrained(place)
            if plain.head is not None:
                head = {name: value for name, value in weights.items() if name.startswith("head.")}
                torch.save(head, place / HEAD_FILE)

    def write_adapter(place: Path) -> None:
        if accelerator.is_main_process:
            named = {f"base_model.model.{name}": value for name, value in inner.items()}
            begun.peft.save_pretrained(place, state_dict=get_peft_model_state_dict(begun.peft, state_dict=named))

    _swap(accelerator, folder / CHECKPOINT, write_model)
    if begun.peft is not None:
        _swap(accelerator, folder / ADAPTER, write_adapter)


def take_head(learner: Learner, checkpoint: Path) -> None:
    """Gives the dense head what an earlier stage's had learned, where there was one."""
    if learner.head is not None and (checkpoint / HEAD_FILE).is_file():
        weights = torch.load(checkpoint / HEAD_FILE, weights_only=True)
        learner.head.load_state_dict({name.removeprefix("head."): value for name, value in weights.items()})


def _swap(accelerator: Accelerator, target: Path, write: Callable[[Path], None]) -> None:
    fresh, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    if accelerator.is_main_process:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
    accelerator.wait_for_everyone()
    write(fresh)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def _finish_swap(target: Path) -> None:
    """A kill between the two renames left the old one under its other name."""
    old = target.with_name(f"{target.name}.old")
    if old.is_dir() and not target.exists():
        old.rename(target)
