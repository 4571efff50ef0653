"""The table as a picture: every dataset as a bar, each category with its cut, and how the scores of samples lie.

Needs matplotlib.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from magicvl.train.complexity.report import Report, SampleScore
from magicvl.train.complexity.table import Table

COLOURS = {"low": "#7fb3d5", "high": "#c0603d"}
SCORES = (("text", "S_text"), ("image", "S_image"), ("task", "S_task"))
ROW = 0.19
"""Inches of a dataset's bar."""


def draw(report: Report, path: Path) -> None:
    """Writes the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(report.table.datasets) + len(report.table.cuts)
    figure = Figure(figsize=(14, max(6.0, 1.2 + ROW * rows)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.5, 1))
    _draw_datasets(figure.add_subplot(grid[:, 0]), report.table)
    for place, (name, title) in enumerate(SCORES):
        _draw_samples(figure.add_subplot(grid[place, 1]), report, name, title)
    figure.savefig(path, dpi=110, format="png")


def _draw_datasets(axis: Any, table: Table) -> None:
    """A bar a dataset, from the top; a dashed line at the cut of its category."""
    ticks: list[float] = []
    names: list[str] = []
    at = 0.0
    for category, highest_low in table.cuts.items():
        begin = at
        for source, entry in table.datasets.items():
            if entry.category == category:
                axis.barh(at, entry.s, 0.8, color=COLOURS[entry.level])
                ticks.append(at)
                names.append(source)
                at += 1
        if highest_low is not None:
            axis.plot([highest_low, highest_low], [begin - 0.5, at - 0.5], "k--", linewidth=1)
        axis.text(1.01, (begin + at - 1) / 2, category, va="center", ha="left", weight="bold")
        at += 0.8
    axis.set_yticks(ticks, names, fontsize="small")
    axis.set(xlim=(0, 1), ylim=(at - 0.8 - 0.4, -0.6), xlabel="S", title="complexity of datasets, cut by category")
    handles = [axis.barh(0, 0, color=colour, label=level) for level, colour in COLOURS.items()]
    axis.legend(handles=handles, loc="lower right", fontsize="small")


def _draw_samples(axis: Any, report: Report, name: str, title: str) -> None:
    """A box a category: quartiles of its samples' scores, whiskers at 5 and 95 %, the mean as a dot."""
    categories = list(report.table.cuts)
    values = [_values(report.samples, category, name) for category in categories]
    axis.set(title=f"{title} of samples", ylim=(-0.03, 1.03), xlim=(0.4, len(categories) + 0.6))
    axis.set_xticks(range(1, len(categories) + 1), categories, rotation=30, fontsize="small")
    there = [(place, its) for place, its in enumerate(values, 1) if its]
    if not there:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center", color="grey")
        return
    axis.boxplot(
        [its for _, its in there],
        positions=[place for place, _ in there],
        widths=0.6,
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        manage_ticks=False,
        medianprops={"color": "black"},
        meanprops={"marker": "o", "markerfacecolor": "black", "markeredgecolor": "black", "markersize": 3},
    )


def _values(samples: Sequence[SampleScore], category: str, name: str) -> list[float]:
    scores = [getattr(sample.scores, name) for sample in samples if sample.category == category]
    return [score for score in scores if score is not None]
