"""The deployment table as bars, one panel a number. Needs matplotlib."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from magicvl.bench.deployment import Row, medians
from magicvl.errors import UsageError

PANELS = (
    ("visual_tokens", "visual tokens"),
    ("first_s", "seconds to the first token"),
    ("encode_s", "encode, seconds"),
    ("decode_s", "seconds a further token"),
    ("cpu_s", "CPU seconds a question"),
    ("peak_mib", "peak memory, MiB"),
)


def check_matplotlib() -> None:
    """Raises UsageError where it is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError("no matplotlib: pip install 'magicvl[bench]' draws the table")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = medians(rows)
    models = list(dict.fromkeys(model for model, _ in found))
    pictures = list(dict.fromkeys(picture for _, picture in found))
    figure = Figure(figsize=(13, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).flatten()
    for axis, (name, title) in zip(axes, PANELS, strict=True):
        for place, model in enumerate(models):
            values = [_value(found.get((model, picture)), name) for picture in pictures]
            lefts = [i + (place - (len(models) - 1) / 2) * 0.8 / len(models) for i in range(len(pictures))]
            axis.bar(lefts, [value or 0.0 for value in values], 0.8 / len(models), label=model)
            for left in (left for left, value in zip(lefts, values, strict=True) if value is None):
                axis.text(left, 0, " not measured", rotation=90, ha="center", va="bottom", fontsize="x-small")
        axis.set_title(title)
        axis.set_xticks(range(len(pictures)), pictures)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(models))
    figure.savefig(path, dpi=110, format="png")


def _value(numbers: dict[str, float] | None, name: str) -> float | None:
    if numbers is None:
        return None
    return numbers["encode_s"] + numbers["prefill_s"] if name == "first_s" else numbers[name]
