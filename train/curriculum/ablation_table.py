"""The result of an ablation: a table with intervals and its bars."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from magicvl.edge.files import whole_file
from magicvl.train.curriculum.ablation import SCORES, Ablation, Piece
from magicvl.train.plots import bar_places

# Student's t for a two-sided 95 % interval, by the number of seeds.
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
ALL = "mean of categories"


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, and half of its 95 % interval; that is None with one seed."""

    mean: float
    half: float | None

    def told(self, digits: int = 1) -> str:
        """With so many decimals."""
        return f"{self.mean:.{digits}f}" + ("" if self.half is None else f" ± {self.half:.{digits}f}")

    def __str__(self) -> str:
        return self.told()


@dataclass(frozen=True)
class Line:
    """An arm's row of the table."""

    arm: str
    seeds: int
    cells: dict[str, Cell]
    """Exact answers in %, by category and over all."""
    gain: Cell | None
    """What it has over the first arm, paired by seed, in points; None for that arm itself."""
    loss: Cell
    """Of a held-out answer token, in nats: what still tells arms apart where hardly an answer is whole."""
    loss_change: Cell | None
    """What it is over the first arm's, paired by seed; None for that arm itself."""
    picture_tokens: float
    samples: int


def make_table(ablation: Ablation, output: Path, seeds: int) -> list[Line]:
    """The lines of the arms that have scores, in order."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for arm in ablation.arms:
        paths = {seed: Piece(arm, seed).folder(output) / SCORES for seed in range(1, seeds + 1)}
        found[arm.name] = {seed: json.loads(path.read_text()) for seed, path in paths.items() if path.exists()}
    first = found[ablation.arms[0].name]
    return [_line(name, its, first if number else None) for number, (name, its) in enumerate(found.items()) if its]


def _line(name: str, its: Mapping[int, dict[str, Any]], first: Mapping[int, dict[str, Any]] | None) -> Line:
    scores = list(its.values())
    categories = sorted({category for each in scores for category in each["accuracy"]})
    cells = {category: cell([_percent(each, category) for each in scores]) for category in categories}
    cells[ALL] = cell([_overall(each) for each in scores])
    pairs = [(its[seed], first[seed]) for seed in its if seed in first] if first is not None else []
    return Line(
        name,
        len(scores),
        cells,
        cell([_overall(ours) - _overall(theirs) for ours, theirs in pairs]) if pairs else None,
        cell([each["loss"] for each in scores]),
        cell([ours["loss"] - theirs["loss"] for ours, theirs in pairs]) if pairs else None,
        sum(each["picture_tokens"] for each in scores) / len(scores),
        scores[0]["samples"],
    )


def cell(values: Sequence[float]) -> Cell:
    """Mean and half interval of one value a seed."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Cell(mean, None)
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Cell(mean, _T.get(len(values), 1.96) * spread / sqrt(len(values)))


def _percent(scores: Mapping[str, Any], category: str) -> float:
    right, asked = scores["accuracy"].get(category, (0, 0))
    return 100 * right / asked if asked else 0.0


def _overall(scores: Mapping[str, Any]) -> float:
    return sum(_percent(scores, category) for category in scores["accuracy"]) / max(1, len(scores["accuracy"]))


def to_markdown(ablation: Ablation, lines: Sequence[Line]) -> str:
    """The table as text."""
    names = list(dict.fromkeys(name for line in lines for name in line.cells))
    head = ["arm", "seeds", *names, "gain", "loss", "loss over the first", "visual tokens a picture", "samples"]
    rows = [
        [line.arm, str(line.seeds), *(str(line.cells.get(name, "")) for name in names), str(line.gain or ""),
         line.loss.told(3), line.loss_change.told(3) if line.loss_change else "",
         f"{line.picture_tokens:.1f}", f"{line.samples:,}"]
        for line in lines
    ]  # fmt: skip
    told = "Exact answers in %, loss of an answer token in nats, 95 % intervals over seeds."
    text = [f"# {ablation.name}", "", ablation.question, "", told, ""]
    return "\n".join([*text, *("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])]) + "\n"


def write_table(ablation: Ablation, output: Path, seeds: int) -> str:
    """Writes table.md, table.json and table.png; returns the text."""
    lines = make_table(ablation, output, seeds)
    text = to_markdown(ablation, lines)
    data = [line.__dict__ | {"cells": {k: vars(v) for k, v in line.cells.items()}, "loss": vars(line.loss),
                             "gain": line.gain and vars(line.gain),
                             "loss_change": line.loss_change and vars(line.loss_change)} for line in lines]  # fmt: skip
    for name, content in (("table.md", text), ("table.json", json.dumps(data, indent=1))):
        with whole_file(output / name) as partial:
            partial.write_text(content, encoding="utf-8")
    if lines:
        _draw(ablation, lines, output / "table.png")
    return text


def _draw(ablation: Ablation, lines: Sequence[Line], target: Path) -> None:
    """Answers by category, the loss, and what a picture costs where the arms differ in that."""
    names = list(dict.fromkeys(name for line in lines for name in line.cells))
    costs = [line.picture_tokens for line in lines]
    differ = max(costs) > 1.01 * min(costs)
    figure, axes = plt.subplots(
        1, 2 + differ, figsize=(5.5 + 1.3 * len(names) + 2 * differ, 4.5),
        width_ratios=(len(names), *(1.5,) * (1 + differ)), layout="constrained",
    )  # fmt: skip
    answers, loss, *cost = axes
    for number, line in enumerate(lines):
        places, width = bar_places(number, len(lines), len(names))
        cells = [line.cells.get(name, Cell(0.0, None)) for name in names]
        whiskers = [each.half or 0.0 for each in cells] if line.seeds > 1 else None
        answers.bar(places, [each.mean for each in cells], width, label=line.arm, yerr=whiskers, capsize=3)
        loss.errorbar(number, line.loss.mean, line.loss.half, marker="o", capsize=6)
        for axis in cost:
            axis.bar(number, line.picture_tokens)
            axis.set_title("visual tokens a picture")
    answers.set_xticks(range(len(names)), names)
    answers.set(ylabel="exact answers (%)", ylim=(0, None), title=ablation.name)
    loss.set(ylabel="loss of an answer token (nats)", title="held-out loss")
    loss.margins(x=0.3)
    # Arms are told by their colours, in every part.
    figure.legend(loc="outside lower center", ncols=len(lines))
    for axis in (loss, *cost):
        axis.set_xticks([])
    figure.savefig(target, dpi=110)
    plt.close(figure)
