"""Scores as bars with their intervals: a row for each suite, its tasks beside everything else. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.bench.accuracy.estimates import Estimate
from magicvl.edge.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_INCHES = 0.15
"""Height of a bar."""
PANEL_INCHES = 0.7
"""Height of a panel's title and axis."""
WIDTH_INCHES = 7.5
"""Width of a panel."""
TASK = "task"
"""The level that has a panel of its own."""
MOST_NAMES = 150
"""Names of a panel; what is beyond is left to the table."""


def draw(found: Sequence[Estimate], path: Path) -> None:
    """Writes the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bundles = list(dict.fromkeys(each.bundle for each in found))
    rows = _rows(found)
    heights = [PANEL_INCHES + BAR_INCHES * (len(bundles) + 0.5) * _longest(panels) for panels in rows.values()]
    columns = max(map(len, rows.values()))
    figure = Figure(figsize=(WIDTH_INCHES * columns, sum(heights) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for row, (suite, panels) in enumerate(rows.items()):
        for column, panel in enumerate(panels):
            axis = figure.add_subplot(grid[row, column])
            _draw_panel(axis, panel, bundles)
            axis.set_title(f"{suite}: score in %", fontsize="medium", loc="left")
    if len(bundles) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(bundles))
    else:
        figure.suptitle(bundles[0])
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _rows(found: Sequence[Estimate]) -> dict[str, list[list[Estimate]]]:
    """The panels of each suite: what is not a task, and the tasks."""
    rows: dict[str, list[list[Estimate]]] = {}
    for suite in dict.fromkeys(each.suite for each in found):
        own = [each for each in found if each.suite == suite]
        panels = ([each for each in own if (each.line.level == TASK) is tasks] for tasks in (False, True))
        rows[suite] = [panel for panel in panels if panel]
    return rows


def _names(panel: Sequence[Estimate]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((each.line.level, each.line.name) for each in panel))[:MOST_NAMES]


def _longest(panels: Sequence[Sequence[Estimate]]) -> int:
    return max(len(_names(panel)) for panel in panels)


def _draw_panel(axis: "Axes", estimates: Sequence[Estimate], bundles: Sequence[str]) -> None:
    names = _names(estimates)
    thick = 0.8 / len(bundles)
    for number, bundle in enumerate(bundles):
        own = {(each.line.level, each.line.name): each for each in estimates if each.bundle == bundle}
        shown = [own[name] for name in names]
        places = [place + (number - (len(bundles) - 1) / 2) * thick for place in range(len(names))]
        spread = [
            [100 * max(0.0, each.share - each.interval[0]) for each in shown],
            [100 * max(0.0, each.interval[1] - each.share) for each in shown],
        ]
        shares = [100 * each.share for each in shown]
        axis.barh(places, shares, thick, xerr=spread, label=bundle, error_kw={"lw": 1, "capsize": 2})
    for place in range(1, len(names)):
        if names[place][0] != names[place - 1][0]:
            axis.axhline(place - 0.5, color="black", lw=0.5)
    axis.set_yticks(range(len(names)), [name for _, name in names], fontsize="small")
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlim(0, 100)
    axis.grid(axis="x", alpha=0.3)
