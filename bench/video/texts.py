"""Texts that models wrote about the films of a suite, from JSON Lines or a JSON array, whoever generated them.

    {"id": "shapes/mixed/test/0/3", "text": "{\"subjects\": [...], \"caption\": \"...\"}", "times": [0.5, 1.5]}

`text` is all that the model wrote; a row that `magicvl bench video --resume` kept has it as `answer`. A row with
`caption` in its place is a caption alone, of a model that lists no subjects. `times` are those of the frames that the
model saw, in seconds; without them they are those that the suite shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicvl.bench.video.annotation import name_of, rows_of
from magicvl.errors import SampleError

FIELDS = ("text", "answer", "caption")
"""What a text may be called; the last is a caption alone."""
MOST_NAMED = 10


@dataclass(frozen=True)
class Said:
    """What a model wrote about a film."""

    text: str
    """Empty where the runtime could not bring it to an end."""
    times: tuple[float, ...] | None
    """Of the frames that it saw; None for those that the suite shows."""
    plain: bool = False
    """Whether the text is a caption alone."""


def read_texts(path: Path, ids: Sequence[str]) -> list[Said]:
    """The text of each film, in the order of `ids`; rows about other films are passed over.

    Raises SampleError for a row that is none, for two texts about one film, and for films without one.
    """
    wanted, found = set(ids), dict[str, Said]()
    for where, row in rows_of(path):
        film = name_of(row, "id", where)
        if film not in wanted:
            continue
        said = _said(row, where)
        if found.setdefault(film, said) != said:
            raise SampleError(f"{where}: another text about {film}; the texts of each model need a file of their own")
    missing = [film for film in ids if film not in found]
    if missing:
        named = ", ".join(missing[:MOST_NAMED]) + (" ..." if len(missing) > MOST_NAMED else "")
        raise SampleError(f"{path}: no text about {len(missing):,} of {len(ids):,} films: {named}")
    return [found[film] for film in ids]


def _said(row: Mapping[str, Any], where: str) -> Said:
    named = [name for name in FIELDS if isinstance(row.get(name), str)]
    if not named:
        raise SampleError(f"{where}: no text, answer or caption in it")
    return Said(row[named[0]], _times(row.get("times"), where), named[0] == FIELDS[-1])


def _times(found: object, where: str) -> tuple[float, ...] | None:
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(type(each) in (int, float) for each in found):
        raise SampleError(f"{where}: times is {str(found)[:40]!r}, where a list of seconds is due")
    return tuple(map(float, found))
