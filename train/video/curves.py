"""The curves of a caption run as one picture: rewards, held-out scores, and what would show that they are cheated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from magicvl.train.plots import smooth
from magicvl.train.run_log import read_log
from magicvl.train.video.rewards import REWARDS

MEANS = {f"rewards/{name}/mean": name for name in REWARDS}
SCORES = {name: name for name in ("format", "frame_times", "attributes", "actions", "event", "coverage", "event_f1")}
DISTANCE = {"kl": "KL to the base (nats a token)", "entropy": "entropy (nats a token)"}
LENGTHS = {"caption_words": "caption (words)", "characters": "whole answer (10 characters)"}
SIGNS = ("repeated", "copied", "commonest", "empty", "filler", "doubled")


def plot_captions(log: Path, target: Path) -> None:
    """Draws the entries of a run's log.jsonl into a PNG. Lines are smoothed training steps, dots held-out films."""
    entries = read_log(log)
    held_out = [{"step": entry["step"], **entry["held_out"]} for entry in entries if "held_out" in entry]
    for entry in held_out:
        entry["characters"] = entry.get("characters", 0.0) / 10
    figure, axes = plt.subplots(2, 3, figsize=(17, 8.5), layout="constrained")
    _lines(
        axes[0, 0],
        entries,
        {"loss": "loss", **{name: f"{name}, before their weight" for name in ("motions", "pointing", "digits")}},
        "training loss",
    )
    _lines(axes[0, 1], entries, MEANS, "rewards of drawn answers")
    _dots(axes[0, 2], held_out, SCORES, "held-out films, greedy")
    _lines(axes[1, 0], entries, DISTANCE, "how far it went")
    _lines(axes[1, 1], entries, {"signs/caption_words": "caption, drawn (words)"}, "length")
    _dots(axes[1, 1], held_out, LENGTHS, "length")
    _lines(axes[1, 2], entries, {f"signs/{name}": name for name in SIGNS}, "signs of cheating")
    _dots(axes[1, 2], held_out, {name: name for name in SIGNS}, "signs of cheating (shares)")
    figure.savefig(target, dpi=100)
    plt.close(figure)


def _lines(axes: Any, entries: Sequence[Mapping[str, Any]], names: Mapping[str, str], title: str) -> None:
    """What every step gives: noisy, drawn smoothly."""
    for number, (name, label) in enumerate(names.items()):
        steps, values = _known(entries, name)
        if steps:
            axes.plot(steps, values, f"C{number}", alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth(values), f"C{number}", label=label)
    _finish(axes, title)


def _dots(axes: Any, entries: Sequence[Mapping[str, Any]], names: Mapping[str, str], title: str) -> None:
    """What is measured now and then, as it is."""
    for number, (name, label) in enumerate(names.items()):
        steps, values = _known(entries, name)
        if steps:
            axes.plot(steps, values, f"C{number}", marker=".", linestyle=":", label=label)
    _finish(axes, title)


def _known(entries: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    known = [(int(entry["step"]), float(entry[name])) for entry in entries if entry.get(name) is not None]
    return [step for step, _ in known], [value for _, value in known]


def _finish(axes: Any, title: str) -> None:
    axes.set(xlabel="step", title=title)
    # Drawn and held out have one colour, and one entry.
    named = {line.get_label(): line for line in axes.lines if not str(line.get_label()).startswith("_")}
    # A supervised run has no rewards to draw.
    axes.set_visible(bool(axes.lines))
    if named:
        axes.legend(named.values(), named.keys(), fontsize="small")
