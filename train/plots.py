"""The curves of a run as one picture: losses, and held-out accuracy by task."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from magicvl.train.run_log import read_log

FEWEST = 5
"""Questions below which a share says nothing."""
HELD_OUT = "held_out_loss"
LOSSES = (
    ("answers", "answer tokens, training", "C0"),
    (HELD_OUT, "answer tokens, held out", "C3"),
    ("dense", "dense targets", "C1"),
    ("places", "places in the picture", "C2"),
    ("items", "the next thing to tell", "C4"),
)
"""Name in the log, in the picture, and colour."""


def plot_run(log: Path, target: Path, tasks: str = "task") -> None:
    """Draws the entries of a run's log.jsonl into a PNG; `tasks` is what accuracy is told by."""
    entries = read_log(log)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for name, label, colour in LOSSES:
        known = [(entry["step"], entry[name]) for entry in entries if entry.get(name) is not None]
        if known:
            _draw_loss(left, known, label, colour, measured=name == HELD_OUT)
    left.set(xlabel="step", ylabel="loss (nats)", yscale="log", title="loss")
    left.legend()
    _draw_accuracy(right, [entry for entry in entries if "accuracy" in entry], tasks)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def _draw_loss(axes: Any, known: list[tuple[int, float]], label: str, colour: str, *, measured: bool) -> None:
    """What every step gives is noisy and drawn smoothed; what was measured now and then as it is."""
    steps, losses = [step for step, _ in known], [loss for _, loss in known]
    if measured:
        axes.plot(steps, losses, colour, marker=".", label=label)
        return
    axes.plot(steps, losses, colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth(losses), colour, label=f"{label}, smoothed")


def _draw_accuracy(axes: Any, measured: list[dict[str, Any]], tasks: str) -> None:
    # Eleven tasks are one more than the usual cycle has colours.
    axes.set_prop_cycle(color=[*matplotlib.color_sequences["tab20"][::2], "black"])
    for task in sorted({task for entry in measured for task in entry["accuracy"]}):
        counts = [(entry["step"], *entry["accuracy"].get(task, (0, 0))) for entry in measured]
        points = [(step, 100 * hits / asked) for step, hits, asked in counts if asked >= FEWEST]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=task)
    axes.set(xlabel="step", ylabel="exact answers (%)", ylim=(0, 101), title=f"held-out accuracy by {tasks}")
    if axes.lines:
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def bar_places(number: int, several: int, groups: int) -> tuple[list[float], float]:
    """Where the bars of one of `several` stand, one in each group, and how wide they are; groups are 1 apart."""
    width = 0.8 / several
    return [group + (number - (several - 1) / 2) * width for group in range(groups)], width


def smooth(values: list[float], share: float = 0.05) -> list[float]:
    """A running mean that forgets a twentieth a step."""
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else (1 - share) * smoothed[-1] + share * value)
    return smoothed
