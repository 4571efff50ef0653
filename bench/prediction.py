"""Whether what `magicvl plan` predicts happens: pictures from one tile to as many as the model takes.

The machine is measured anew, once by the clock and once by the CPU's; then each picture is asked about in a process
of its own. The CPU's seconds tell of the model behind the numbers where other work disturbs the clock.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from magicvl.bench.child import run_child
from magicvl.bench.prediction_child import QUESTION
from magicvl.edge.bundle import Lock, read_bundle
from magicvl.edge.calibration import Calibration, from_json
from magicvl.edge.noise import noise
from magicvl.edge.pixels import read_header
from magicvl.edge.plan import Grid, plan
from magicvl.edge.prediction import predict, question_tokens

WITHIN = 0.25
"""What a prediction may be off by, as the share of what happens."""
_child = partial(run_child, "magicvl.bench.prediction_child", what="a process of the measurement")
GRIDS = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4), (5, 4), (6, 4))
"""Full tiles across and down."""


@dataclass(frozen=True)
class Compared:
    """One number: what was predicted, and the median of what happened."""

    predicted: float
    happened: float

    @property
    def ratio(self) -> float:
        """Predicted over happened."""
        return self.predicted / self.happened if self.happened else 0.0


@dataclass(frozen=True)
class Row:
    """One picture."""

    size: tuple[int, int]
    """Width and height in px."""
    tiles: int
    tokens: int
    encode_s: Compared
    prefill_s: Compared
    wall_s: Compared
    """Until the answer begins, with all that the engine does between the two."""
    cpu_s: Compared
    peak_mib: Compared | None
    """None where the system does not tell."""


@dataclass(frozen=True)
class Checked:
    """All pictures."""

    threads: int
    calibrate_s: float
    """Seconds that measuring the machine by the clock took."""
    rows: tuple[Row, ...]

    def worst(self) -> dict[str, float]:
        """For each number how far the worst prediction is off, as a share of what happened."""
        off: dict[str, float] = {}
        for row in self.rows:
            for name, compared in _compared(row):
                off[name] = max(off.get(name, 0.0), abs(compared.ratio - 1))
        return off

    def to_json(self) -> dict[str, object]:
        """The last line that `magicvl bench plan` prints."""
        return {
            "threads": self.threads,
            "calibrate_s": round(self.calibrate_s, 2),
            "rows": [asdict(row) for row in self.rows],
            "worst": {name: round(off, 4) for name, off in self.worst().items()},
            "within": WITHIN,
        }

    def to_text(self) -> str:
        """A table: predicted, happened and their ratio of each number."""
        names = [name for name, _ in _compared(self.rows[0])]
        lines = [
            "picture      tiles tokens " + "".join(f"{name + ' (predicted happened ratio)':>38}" for name in names)
        ]
        for row in self.rows:
            numbers = "".join(f"{c.predicted:19.3f} {c.happened:10.3f} {c.ratio:7.2f}" for _, c in _compared(row))
            lines.append(f"{row.size[0]:>5} x {row.size[1]:<5}{row.tiles:>5} {row.tokens:>6} {numbers}")
        worst = ", ".join(f"{name} {100 * off:.0f} %" for name, off in self.worst().items())
        measured = f"{self.threads} threads, measured in {self.calibrate_s:.1f} s"
        return "\n".join([*lines, f"{measured}; off at worst: {worst} ({100 * WITHIN:.0f} % are allowed)"])


def check(
    bundle: Path,
    *,
    rounds: int = 3,
    threads: int | None = None,
    most_tiles: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Predicts, asks and compares; `most_tiles` leaves larger pictures out. Raises BundleError, EngineError."""
    bundle = bundle.absolute()
    lock = read_bundle(bundle).lock
    measured = _child({"bundle": str(bundle), "threads": threads, "clock": "perf_counter"})
    by_clock, taken = from_json(measured["calibration"]), float(measured["wall_s"])
    again = _child({"bundle": str(bundle), "threads": by_clock.threads, "clock": "process_time"})
    by_cpu = from_json(again["calibration"])
    rows = []
    sizes = list(_sizes(lock.grid, most_tiles or lock.grid.max_tiles))
    with tempfile.TemporaryDirectory() as folder:
        for number, size in enumerate(sizes):
            if progress is not None:
                progress(number, len(sizes))
            picture = Path(folder) / f"{number}.jpg"
            noise(size, number).save(picture)
            rows.append(_row(bundle, lock, picture, by_clock, by_cpu, rounds))
    if progress is not None:
        progress(len(sizes), len(sizes))
    return Checked(by_clock.threads, taken, tuple(rows))


def _sizes(grid: Grid, most: int) -> Iterator[tuple[int, int]]:
    """Pictures of full tiles, and a small one and two with smaller tiles at the edges."""
    side = grid.tile
    yield side // 2, side // 3
    for across, down in GRIDS:
        if across * down <= most:
            yield across * side, down * side
    for across, down in ((2, 1), (4, 3)):
        if across * down <= most:
            yield across * side - side // 3, down * side - side // 2


def _row(bundle: Path, lock: Lock, picture: Path, by_clock: Calibration, by_cpu: Calibration, rounds: int) -> Row:
    header = read_header(picture)
    planned = plan(header.width, header.height, lock.grid)
    wall, cpu = (
        predict(each, lock, [header], [planned], question_tokens(QUESTION), answer=1) for each in (by_clock, by_cpu)
    )
    order = {"bundle": str(bundle), "threads": by_clock.threads, "picture": str(picture)}
    asked = [_child(order) for _ in range(rounds)]

    def happened(name: str) -> float:
        return float(statistics.median(each[name] for each in asked))

    known = wall.peak_bytes is not None and asked[0]["peak_mib"] is not None
    return Row(
        (header.width, header.height),
        len(planned.tile_boxes),
        planned.tokens,
        Compared(wall.encode_s, happened("encode_s")),
        Compared(wall.prefill_s, happened("prefill_s")),
        Compared(wall.seconds, happened("wall_s")),
        Compared(cpu.seconds, happened("cpu_s")),
        Compared((wall.peak_bytes or 0) / 2**20, happened("peak_mib")) if known else None,
    )


def _compared(row: Row) -> Sequence[tuple[str, Compared]]:
    found = [("encode_s", row.encode_s), ("prefill_s", row.prefill_s), ("wall_s", row.wall_s), ("cpu_s", row.cpu_s)]
    return found if row.peak_mib is None else [*found, ("peak_mib", row.peak_mib)]
