"""What judges did on planted truths, as bars."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from magicvl.edge.files import whole_file
from magicvl.train.plots import bar_places
from magicvl.train.rewards.agreement import LEAST_BALANCED
from magicvl.train.rewards.judge_report import Tried, right_share

ABOUT = {
    "right": "told in\nits own words",
    "paraphrase": "told in\nother words",
    "actor": "another\nactor",
    "swapped": "actors\nswapped",
    "action": "another\naction",
    "missing": "not told",
}


def draw(tried: Sequence[Tried], path: Path) -> None:
    """Writes the figure as PNG: right verdicts by kind of caption, a panel a set of films."""
    figure = Figure(figsize=(11, 1 + 3.6 * len(tried)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, each in zip(np.atleast_1d(figure.subplots(len(tried), 1)), tried, strict=True):
        kinds = [row.kind for row in each.agreements[0].rows]
        for number, found in enumerate(each.agreements):
            shares = [100 * right_share(row) for row in found.rows]
            places, width = bar_places(number, len(each.agreements), len(kinds))
            label = f"{found.name}: {found.balanced:.0%}{'' if found.trusted else ', refused'}"
            bars = axes.bar(places, shares, width, label=label)
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
        axes.axhline(
            100 * LEAST_BALANCED, color="black", linewidth=0.7, linestyle=":", label="what a judge needs, all in all"
        )
        axes.set_xticks(range(len(kinds)), [ABOUT[kind] for kind in kinds])
        axes.set(ylabel="right verdicts (%)", ylim=(0, 108), title=each.films)
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), title="judge: both sides counted half")
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
