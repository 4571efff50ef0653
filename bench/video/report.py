"""What was measured as text: a line a measure, a column an arm, then what is between the arms."""

from collections.abc import Iterator, Sequence

from magicvl.bench.video.estimates import Difference, Estimate
from magicvl.bench.video.results import Results

NARROWEST = 18
"""Characters of the column of names."""
GAP = "   "


def to_text(results: Results) -> str:
    """The tables of one suite."""
    return "\n".join(_lines(results))


def _lines(results: Results) -> Iterator[str]:
    suite = results.suite
    yield f"{suite.name}: {len(suite.items):,} films"
    yield from (f"  {note}" for note in results.notes)
    yield from _table(results.found)
    for kind, found in results.by_group:
        yield f"{suite.measures[0].name} by {kind}"
        yield from _table(found)
    for arm, over in dict.fromkeys((each.arm, each.over) for each in results.between):
        yield f"{arm} over {over}, on the same films"
        yield from (_change(each) for each in results.between if (each.arm, each.over) == (arm, over))


def _table(found: Sequence[Estimate]) -> Iterator[str]:
    arms = {each.arm: len(each.seeds) for each in found}
    names = list(dict.fromkeys(map(_name, found)))
    cells = {(_name(each), each.arm): _cell(each) for each in found}
    heads = [arm if runs == 1 else f"{arm} ({runs} runs)" for arm, runs in arms.items()]
    rows = [("", heads), *((name, [cells.get((name, arm), "-") for arm in arms]) for name in names)]
    widths = [max(map(len, column)) for column in zip(*(row for _, row in rows), strict=True)]
    for name, row in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"{name:<{NARROWEST}}{GAP}{GAP.join(padded)}".rstrip()


def _name(each: Estimate) -> str:
    return f"  {each.group} ({each.films:,})" if each.group else each.measure.name


def _cell(each: Estimate) -> str:
    value, low, high = (each.measure.scale * number for number in (each.value, *each.interval))
    return f"{value:5.1f} {each.measure.unit} ({low:.1f} to {high:.1f})"


def _change(each: Difference) -> str:
    value, low, high = (each.measure.scale * number for number in (each.value, *each.interval))
    told = f"{each.measure.name:<{NARROWEST}}{GAP}{value:+5.1f} ({low:+.1f} to {high:+.1f})"
    told += "" if each.beyond else ", within the interval"
    if len(each.seeds) < 2:
        return told
    return f"{told}; by seed {', '.join(f'{each.measure.scale * one:+.1f}' for one in each.seeds.values())}"
