"""A measurement of energy drawn: power with what was done meanwhile, temperature, questions, and what each part takes.

Needs matplotlib.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.bench.energy import Energy
from magicvl.bench.energy_work import IDLE, WHOLE
from magicvl.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"load": "C4", "encode": "C0", "prefill": "C1", "decode": "C2", "question": "C3"}
MOST_POINTS = 600
"""Points of a line; more are averaged."""


def check_matplotlib() -> None:
    """Raises UsageError where it is not installed: before minutes of measuring, not after."""
    if find_spec("matplotlib") is None:
        raise UsageError("no matplotlib for --figure: pip install 'magicvl[bench]', or leave it out")


def draw(found: Energy, path: Path) -> None:
    """Writes the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    lines = [line for line in (_draw_power, _draw_celsius, _draw_questions) if line is _draw_questions or found.trace]
    if found.trace is None or not found.trace.celsius:
        lines = [line for line in lines if line is not _draw_celsius]
    grid = figure.add_gridspec(len(lines), 2, width_ratios=(3, 2))
    start = found.blocks[0].begin
    for row, line in enumerate(lines):
        axis = figure.add_subplot(grid[row, 0])
        line(axis, found, start)
        for block in found.blocks:
            if block.name != IDLE:
                axis.axvspan(block.begin - start, block.end - start, color=COLOURS[block.name], alpha=0.15, lw=0)
        axis.set_xlim(0, found.blocks[-1].end - start)
    axis.set_xlabel("seconds since the beginning")
    _draw_costs(figure.add_subplot(grid[:, 1]), found)
    void = "\nvoid: " + found.void if found.void else ""
    figure.suptitle(f"{found.about['bundle']}, pictures of {found.about['picture']}{void}")
    figure.savefig(path, dpi=110, format="png")


def _draw_power(axis: "Axes", found: Energy, start: float) -> None:
    assert found.trace is not None
    points = _thinned([(moment - start, watts) for moment, watts in found.trace.power()])
    axis.plot(*zip(*points, strict=True), color="black", lw=0.8)
    if found.idle_watts is not None:
        axis.axhline(found.idle_watts, color="grey", ls=":", label=f"idle, {found.idle_watts:.2f} W")
        axis.legend(loc="upper right")
    axis.set_ylabel("W")
    axis.set_title(f"power: {found.about['source']}", fontsize="medium")
    axis.set_ylim(bottom=0)


def _draw_celsius(axis: "Axes", found: Energy, start: float) -> None:
    assert found.trace is not None
    axis.plot([moment - start for moment, _ in found.trace.celsius], [value for _, value in found.trace.celsius])
    axis.set_ylabel("°C")
    axis.set_title("temperature", fontsize="medium")


def _draw_questions(axis: "Axes", found: Energy, start: float) -> None:
    whole = next(block for block in found.blocks if block.name == WHOLE)
    axis.plot(
        [end - start for _, end in whole.moments], [end - begin for begin, end in whole.moments], ".", clip_on=False
    )
    axis.set_ylabel("s")
    axis.set_title("seconds a whole question", fontsize="medium")
    axis.set_ylim(0, 1.1 * max(end - begin for begin, end in whole.moments))


def _draw_costs(axis: "Axes", found: Energy) -> None:
    for place, phase in enumerate(found.phases):
        value = phase.joules if found.unit == "J" else phase.cpu_s
        axis.bar(place, value or 0.0, color=COLOURS[phase.name])
        text = "not known" if value is None else f"{value:.3g} {found.unit}"
        axis.text(place, max(0.0, value or 0.0), text, ha="center", va="bottom")
    axis.set_xticks(range(len(found.phases)), [phase.name for phase in found.phases])
    said = "idle taken off" if found.unit == "J" else "which are no joules"
    axis.set_title(f"{'joules' if found.unit == 'J' else 'CPU seconds'} each, {said}", fontsize="medium")


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, so that at most MOST_POINTS remain."""
    size = -(-len(points) // MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
