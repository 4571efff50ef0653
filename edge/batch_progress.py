"""The line that shows how far a batch is: share, rows, failures, rate and time left."""

from magicvl.edge.batch_output import Tally

BAR = 20
"""Characters of the bar."""


def progress_line(tally: Tally, total: int, before: int, seconds: float, stage: str = "") -> str:
    """One line for the rows done.

    `before` of them were there when this process began, `seconds` ago; the rate is of the others. `stage` is
    what the current row is at.
    """
    full = BAR * tally.rows // total
    parts = [f"[{'#' * full}{'.' * (BAR - full)}] {tally.rows:,} of {total:,} rows"]
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    if (fresh := tally.rows - before) and seconds > 0:
        parts += [_rate(fresh / seconds), f"{duration((total - tally.rows) * seconds / fresh)} left"]
    return ", ".join(parts + [stage] * bool(stage))


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, the two that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.1f} rows/s"
    if per_second * 60 >= 1:
        return f"{per_second * 60:.1f} rows/min"
    return f"{per_second * 3600:.1f} rows/h"
