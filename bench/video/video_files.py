"""The videos that a benchmark names, in a folder of the user's."""

import os
from collections.abc import Sequence
from pathlib import Path

from magicvl.errors import UsageError

MOST_NAMED = 20
"""Missing videos that a message names."""


def find_videos(folder: Path, names: Sequence[str]) -> list[Path | None]:
    """The file of each name in a folder and those inside it, None for those that are not there.

    A name is found with any ending and in any letter case, for sets are repacked; the same name as it stands goes
    first. Raises UsageError where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such directory; --videos says where the videos are")
    known: dict[str, Path] = {}
    for place, _, files in sorted(os.walk(folder)):
        for file in sorted(files):
            path = Path(place) / file
            for name in (file, file.lower(), path.stem.lower()):
                known.setdefault(name, path)
    return [_found(known, name) for name in names]


def _found(known: dict[str, Path], name: str) -> Path | None:
    file = Path(name).name
    return known.get(file) or known.get(file.lower()) or known.get(Path(file).stem.lower()) or known.get(name.lower())


def missing_message(folder: Path, names: Sequence[str], asked: int) -> str:
    """One line about the videos that are not there."""
    more = len(names) - MOST_NAMED
    named = ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return f"{folder}: {len(names):,} of {asked:,} videos are not there: {named}"
