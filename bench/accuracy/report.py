"""Scores as text: a line for each group, and several bundles side by side."""

from collections.abc import Iterator, Sequence

from magicvl.bench.accuracy.estimates import Difference, Estimate, by_line

NARROWEST = 12
"""Characters of the column of names."""


def to_text(found: Sequence[Estimate], between: Sequence[Difference] = ()) -> str:
    """The table; suites and levels have headings where there are several."""
    return "\n".join(_lines(found, between))


def _lines(found: Sequence[Estimate], between: Sequence[Difference]) -> Iterator[str]:
    rows = by_line(found)
    width = max([NARROWEST, *(len(name) for _, _, name in rows)])
    changes = _by_place(between)
    headed = len({(suite, level) for suite, level, _ in rows}) > 1
    heading = ""
    if several := len({each.bundle for each in found}) > 1:
        yield from _legend(found)
    for (suite, level, name), estimates in rows.items():
        if headed and heading != (heading := f"{suite}, by {level}" if level not in ("all", "rule") else suite):
            yield heading
        if several:
            cells = [f"{_score(each)}  {_interval(each):<17}" for each in estimates]
            cells += [_change(each) for each in changes.get((suite, level, name), [])]
            yield f"{name:<{width}} {'  '.join(cells)}".rstrip()
        else:
            yield f"{name:<{width}} {_score(estimates[0])}  {_interval(estimates[0])}  {_count(estimates[0])}"


def _by_place(between: Sequence[Difference]) -> dict[tuple[str, str, str], list[Difference]]:
    places: dict[tuple[str, str, str], list[Difference]] = {}
    for each in between:
        places.setdefault((each.suite, each.line.level, each.line.name), []).append(each)
    return places


def _legend(found: Sequence[Estimate]) -> Iterator[str]:
    names = list(dict.fromkeys(each.bundle for each in found))
    yield f"columns: {', '.join(names)}; then each one's difference to {names[0]}, paired"


def _score(each: Estimate) -> str:
    return f"{each.line.scale * each.share:5.1f} {each.line.unit}"


def _interval(each: Estimate) -> str:
    low, high = (each.line.scale * bound for bound in each.interval)
    return f"({low:.1f} to {high:.1f})"


def _count(each: Estimate) -> str:
    return f"{each.right:.0f} of {each.asked}" if each.whole else f"mean of {each.asked}"


def _change(each: Difference) -> str:
    mean, low, high = (each.line.scale * value for value in (each.mean, *each.interval))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
