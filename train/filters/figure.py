"""What went out and why as a picture: bars by rule, and the shares of each source."""

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from magicvl.edge.files import whole_file
from magicvl.train.filters.examine import NAMES
from magicvl.train.filters.report import Tally

MOST_SOURCES = 30
"""Bars; the largest ones."""


def draw(tally: Tally, path: Path) -> None:
    """Writes the figure as PNG."""
    rules = [name for name in NAMES if tally.rules[name]]
    colours = dict(zip(rules, matplotlib.color_sequences["tab20"], strict=False))
    sources = sorted(tally.sources, key=lambda name: -tally.sources[name].total())[:MOST_SOURCES]
    height = 1.6 + 0.32 * max(len(rules), len(sources), 4)
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.barh(rules, [tally.rules[name] for name in rules], color=[colours[name] for name in rules])
    left.invert_yaxis()
    left.set(xlabel="samples", title="out, by rule")
    left.bar_label(left.containers[0], [f"{tally.rules[name]:,}" for name in rules], padding=3) if rules else None
    left.margins(x=0.15)
    begins = [0.0] * len(sources)
    for name in ("kept", *rules):
        shares = [100 * tally.sources[source][name] / tally.sources[source].total() for source in sources]
        colour = "#d0d0d0" if name == "kept" else colours[name]
        right.barh(sources, shares, left=begins, color=colour, label=name)
        begins = [begin + share for begin, share in zip(begins, shares, strict=True)]
    right.invert_yaxis()
    right.set(xlabel="% of the source", xlim=(0, 100), title="sources")
    right.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"{tally.seen:,} samples, {tally.kept:,} kept")
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
