"""`magicvl doctor`: the report of magicvl.edge.doctor, and what energy could be measured by."""

from collections.abc import Iterator
from pathlib import Path

from magicvl.edge.doctor import Finding, Report, examine
from magicvl.errors import MagicVLError, UsageError


def doctor(bundle: Path | None, limit: float) -> Report:
    """Examines this machine for a bundle, by default the one that comes along. Raises UsageError."""
    from magicvl import DEFAULT_BUNDLE

    if not 0 < limit < float("inf"):
        raise UsageError(f"--limit {limit:g}: it must be above 0")
    return examine(bundle or DEFAULT_BUNDLE, limit=limit, more={"energy": energy})


def energy() -> Iterator[Finding]:
    """What `magicvl bench energy` would read."""
    from magicvl.bench.energy_source import find_source

    try:
        source, notes = find_source()
    except MagicVLError as error:
        source, notes = None, [str(error)]
    about = "CPU seconds alone: nothing here tells of energy" if source is None else f"{source.name}: {source.about}"
    yield Finding("energy", "source", about)
    for note in notes:
        yield Finding("energy", "refused", note)
