"""The curves of a run as one picture: loss, and held-out accuracy by task."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FEWEST = 5
"""Questions below which a share says nothing."""


def plot_run(log: Path, target: Path) -> None:
    """Draws the entries of a run's log.jsonl into a PNG."""
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for name, label, colour in (("answers", "per answer token", "C0"), ("dense", "dense targets", "C1")):
        known = [(entry["step"], entry[name]) for entry in entries if entry[name] is not None]
        steps, losses = [step for step, _ in known], [loss for _, loss in known]
        left.plot(steps, losses, colour, alpha=0.25, linewidth=0.8)
        left.plot(steps, smooth(losses), colour, label=f"{label}, smoothed")
    left.set(xlabel="step", ylabel="loss (nats)", yscale="log", title="training loss")
    left.legend()
    measured = [entry for entry in entries if "accuracy" in entry]
    # Eleven tasks are one more than the usual cycle has colours.
    right.set_prop_cycle(color=[*matplotlib.color_sequences["tab20"][::2], "black"])
    for task in sorted({task for entry in measured for task in entry["accuracy"]}):
        counts = [(entry["step"], *entry["accuracy"].get(task, (0, 0))) for entry in measured]
        points = [(step, 100 * hits / asked) for step, hits, asked in counts if asked >= FEWEST]
        if points:
            right.plot(*zip(*points, strict=True), marker=".", label=task)
    right.set(xlabel="step", ylabel="exact answers (%)", ylim=(0, 101), title="held-out accuracy by task")
    if right.lines:
        right.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(target, dpi=110)
    plt.close(figure)


def smooth(values: list[float], share: float = 0.05) -> list[float]:
    """A running mean that forgets a twentieth a step."""
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else (1 - share) * smoothed[-1] + share * value)
    return smoothed
