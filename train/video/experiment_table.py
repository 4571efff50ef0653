"""The result of an experiment with arms: means over seeds with intervals, and what each arm has over the base."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magicvl.edge.files import whole_file
from magicvl.train.curriculum.ablation_table import Cell, cell
from magicvl.train.video.experiment import BASE, SCORES, Experiment, arm_folder

NAMES = ("format", "frame_times", "attributes", "actions", "event", "coverage", "event_f1", "characters")
"""What the table has, by the names of `Worth`, and the length of a text."""
Row = dict[str, float]


def write_table(experiment: Experiment, output: Path, seeds: int) -> str:
    """Writes table.md and table.json of what is measured so far; returns the text."""
    means = {arm: _means(output, arm, seeds) for arm in (BASE, *experiment.arms)}
    found = {arm: rows for arm, rows in means.items() if rows}
    text = to_markdown(experiment, found)
    for name, content in (("table.md", text), ("table.json", json.dumps(found, indent=1))):
        with whole_file(output / name) as path:
            path.write_text(content, encoding="utf-8")
    return text


def to_markdown(experiment: Experiment, found: Mapping[str, Sequence[Row]]) -> str:
    """The table as text; scores in %, a gain in points."""
    lines = [f"# {experiment.name}", "", experiment.question, ""]
    lines += [f"{experiment.films} films of {experiment.style}; scores in %, 95 % intervals over seeds.", ""]
    lines += ["| arm | seeds | " + " | ".join(NAMES) + " |", "|---" * (len(NAMES) + 2) + "|"]
    base = found.get(BASE)
    for arm, rows in found.items():
        lines.append(_line(arm, len(rows), [_cell([row[name] for row in rows], name) for name in NAMES]))
        if base and arm != BASE:
            gains = [_cell([row[name] - base[0][name] for row in rows], name) for name in NAMES]
            lines.append(_line(f"{arm} - {BASE}", len(rows), gains))
    return "\n".join(lines) + "\n"


def _line(name: str, seeds: int, cells: Sequence[Cell]) -> str:
    return f"| {name} | {seeds} | " + " | ".join(map(str, cells)) + " |"


def _cell(values: Sequence[float], name: str) -> Cell:
    return cell([value * (1 if name == "characters" else 100) for value in values])


def _means(output: Path, arm: str, seeds: int) -> list[Row]:
    """Each seed's means over the films."""
    places = [arm_folder(output, arm, seed) / SCORES for seed in range(1, 2 if arm == BASE else seeds + 1)]
    return [_mean(json.loads(place.read_text(encoding="utf-8"))) for place in places if place.is_file()]


def _mean(scores: Sequence[Mapping[str, Any]]) -> Row:
    rows = [{**score, "characters": len(score["text"])} for score in scores]
    return {name: sum(row[name] for row in rows) / len(rows) for name in NAMES}
