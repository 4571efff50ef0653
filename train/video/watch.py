"""What is seen of a run while it goes: a progress line, log.jsonl, held-out scores, curves; and how it is stopped."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from magicvl.train.run_log import append_log
from magicvl.train.video.curves import plot_captions
from magicvl.train.video.settings import CaptionRun

LOG_NAME, PLOT_NAME = "log.jsonl", "curves.png"
SUMMARY = "train_runtime"
"""Stands in what the trainer says at the very end, which is no step."""
SHOWN = ("format", "frame_times", "attributes", "actions", "event", "event_f1", "caption_words")
"""Of what is measured on held-out films, on the screen; all of it is in the log."""
Measure = Callable[[Any], dict[str, float]]


class Watch(TrainerCallback):
    """Hears of every step. `measure` scores a model on held-out films; `stopped` says whether to stop."""

    def __init__(self, run: CaptionRun, output: Path, measure: Measure, stopped: Callable[[], bool]) -> None:
        self._run, self._output, self._measure, self._stopped = run, output, measure, stopped
        self._bar: Any = None
        self._held_out: dict[str, float] = {}
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measures what the run begins with."""
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)
        if state.global_step == 0:
            self._write({"step": 0, "held_out": self._measure(kwargs["model"])})
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stops where somebody asked for it, and keeps a state then."""
        self._bar.update()
        stop = self._stopped()
        if stop or state.global_step == state.max_steps:
            control.should_save = True
            control.should_training_stop = True
        if state.global_step % self._run.evaluate_every == 0 or state.global_step == state.max_steps:
            self._held_out = self._measure(kwargs["model"])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """One line of log.jsonl."""
        if logs is None or SUMMARY in logs:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        entry = {"step": state.global_step, **{name: _finite(value) for name, value in logs.items()}}
        entry |= {"seconds": round(wall - self._wall, 3), "cpu_seconds": round(cpu - self._cpu, 3)}
        entry |= {"held_out": self._held_out} if self._held_out else {}
        self._write(entry)
        if self._held_out:
            plot_captions(self._output / LOG_NAME, self._output / PLOT_NAME)
        self._held_out = {}
        self._wall, self._cpu = wall, cpu
        shown = {name: logs[name] for name in ("loss", "reward") if name in logs}
        self._bar.set_postfix({name: f"{float(value):.3f}" for name, value in shown.items()})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leaves the last curves."""
        self._bar.close()
        plot_captions(self._output / LOG_NAME, self._output / PLOT_NAME)

    def _write(self, entry: dict[str, Any]) -> None:
        append_log(self._output / LOG_NAME, entry)
        if held_out := entry.get("held_out"):
            said = "  ".join(f"{name} {held_out[name]:.3f}" for name in SHOWN if name in held_out)
            tqdm.write(f"step {entry['step']}  held out: {said}", file=sys.stderr)


def _finite(value: Any) -> Any:
    """JSON has no NaN: what a step could not tell is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
