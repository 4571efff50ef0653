"""The curves of a stage as one picture: losses, and held-out accuracy by category."""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from magicvl.train.plots import FEWEST, smooth


def plot_curves(log: Path, target: Path) -> None:
    """Draws the entries of a run's log.jsonl into a PNG."""
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    named = (("answers", "answer tokens, training", "C0"), ("held_out_loss", "answer tokens, held out", "C3"),
             ("dense", "dense targets", "C1"))  # fmt: skip
    for name, label, colour in named:
        known = [(entry["step"], entry[name]) for entry in entries if entry.get(name) is not None]
        if known:
            _draw_loss(left, known, label, colour, smoothed=name != "held_out_loss")
    left.set(xlabel="step", ylabel="loss (nats)", yscale="log", title="loss")
    left.legend()
    _draw_accuracy(right, [entry for entry in entries if "accuracy" in entry])
    figure.savefig(target, dpi=110)
    plt.close(figure)


def _draw_loss(axes: Any, known: list[tuple[int, float]], label: str, colour: str, *, smoothed: bool) -> None:
    steps, losses = [step for step, _ in known], [loss for _, loss in known]
    if not smoothed:
        axes.plot(steps, losses, colour, marker=".", label=label)
        return
    axes.plot(steps, losses, colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth(losses), colour, label=f"{label}, smoothed")


def _draw_accuracy(axes: Any, measured: list[dict[str, Any]]) -> None:
    for category in sorted({name for entry in measured for name in entry["accuracy"]}):
        counts = [(entry["step"], *entry["accuracy"].get(category, (0, 0))) for entry in measured]
        points = [(step, 100 * hits / asked) for step, hits, asked in counts if asked >= FEWEST]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=category)
    axes.set(xlabel="step", ylabel="exact answers (%)", ylim=(0, 101), title="held-out accuracy by category")
    if axes.lines:
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
