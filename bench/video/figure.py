"""Arms side by side: what each has, with its interval and its runs, and what is between them. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from magicvl.bench.video.estimates import Difference, Estimate
from magicvl.bench.video.results import Results
from magicvl.edge.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

BAR_INCHES = 0.2
"""Height of a bar."""
FRAME_INCHES = 1.0
"""Height of a panel's title and axis."""
WIDTH_INCHES = 6.5
"""Width of a panel."""
WHISKERS = {"lw": 1, "capsize": 2}
Drawn = TypeVar("Drawn", Estimate, Difference)


def draw(suites: Sequence[Results], path: Path) -> None:
    """Writes the figure as PNG, a row of panels for each suite."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if any(each.between for each in suites) else 1
    heights = [FRAME_INCHES + BAR_INCHES * (_bars(each) + 0.7) * len(_shares(each)) for each in suites]
    figure = Figure(figsize=(WIDTH_INCHES * columns, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subfigures(len(suites), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, each in zip(rows, suites, strict=True):
        _draw_suite(row, each, columns)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _draw_suite(figure: "SubFigure", results: Results, columns: int) -> None:
    axes = figure.subplots(1, columns, squeeze=False)[0]
    names = _shares(results)
    _draw_scores(axes[0], names, results.found)
    axes[0].set_title(f"{results.suite.name}, {len(results.suite.items):,} films: score in %", **_TITLE)
    if columns == 2:
        _draw_differences(axes[1], names, results.between)
        axes[1].set_title("points more, on the same films", **_TITLE)


_TITLE = {"fontsize": "medium", "loc": "left"}


def _bars(results: Results) -> int:
    """The most lines that a measure has in one of the panels."""
    return max(len(_arms(results.found)), len(_pairs(results.between)))


def _shares(results: Results) -> list[str]:
    """The measures that are drawn."""
    return list(dict.fromkeys(each.measure.name for each in results.found if each.measure.drawn))


def _arms(found: Sequence[Estimate]) -> list[str]:
    return list(dict.fromkeys(each.arm for each in found))


def _pairs(between: Sequence[Difference]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((each.arm, each.over) for each in between))


def _draw_scores(axis: "Axes", names: Sequence[str], found: Sequence[Estimate]) -> None:
    arms = _arms(found)
    for number, arm in enumerate(arms):
        own = {each.measure.name: each for each in found if each.arm == arm}
        at, shown = _places(names, own, number, len(arms))
        values = [100 * each.value for each in shown]
        axis.barh(at, values, 0.8 / len(arms), xerr=_spread(shown), label=_label(arm, shown), error_kw=WHISKERS)
        _draw_runs(axis, at, shown)
    axis.set_xlim(0, 100)
    _finish(axis, names)


def _draw_differences(axis: "Axes", names: Sequence[str], between: Sequence[Difference]) -> None:
    pairs = _pairs(between)
    arms = list(dict.fromkeys([*(over for _, over in pairs), *(arm for arm, _ in pairs)]))
    for number, (arm, over) in enumerate(pairs):
        own = {each.measure.name: each for each in between if (each.arm, each.over) == (arm, over)}
        at, shown = _places(names, own, number, len(pairs))
        # Coloured as the arm is in the other panel; hollow where it is not compared with the first one.
        face = f"C{arms.index(arm)}" if over == pairs[0][1] else "white"
        axis.errorbar(
            [100 * each.value for each in shown],
            at,
            xerr=_spread(shown),
            fmt="o",
            color=f"C{arms.index(arm)}",
            capsize=3,
            markersize=5,
            label=f"{arm} over {over}",
            markerfacecolor=face,
        )
        _draw_runs(axis, at, shown)
    axis.axvline(0, color="black", lw=0.8)
    _finish(axis, names)


def _places(names: Sequence[str], own: Mapping[str, Drawn], number: int, count: int) -> tuple[list[float], list[Drawn]]:
    """Where the lines of one of several stand, and what stands there."""
    offset = (number - (count - 1) / 2) * 0.8 / count
    shown = [(place + offset, own[name]) for place, name in enumerate(names) if name in own]
    return [place for place, _ in shown], [each for _, each in shown]


def _draw_runs(axis: "Axes", at: Sequence[float], shown: Sequence[Estimate | Difference]) -> None:
    """A mark for each run of an arm that has several."""
    for place, each in zip(at, shown, strict=True):
        if len(each.seeds) > 1:
            axis.plot([100 * value for value in each.seeds.values()], [place] * len(each.seeds), "k|", markersize=6)


def _label(arm: str, shown: Sequence[Estimate]) -> str:
    runs = max((len(each.seeds) for each in shown), default=1)
    return arm if runs == 1 else f"{arm}, {runs} runs"


def _spread(shown: Sequence[Estimate | Difference]) -> list[list[float]]:
    """How far each interval reaches below and above its value, in points."""
    below = [100 * max(0.0, each.value - each.interval[0]) for each in shown]
    return [below, [100 * max(0.0, each.interval[1] - each.value) for each in shown]]


def _finish(axis: "Axes", names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize="small")
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    for place in range(1, len(names)):
        axis.axhline(place - 0.5, color="black", lw=0.3, alpha=0.4)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False)
