"""A film of a public benchmark as its own file tells of it, before anyone looks for the video."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magicvl.bench.video.item import Pair
from magicvl.errors import SampleError
from magicvl.train.rewards.reference import Reference
from magicvl.train.samples.json_rows import index_rows


@dataclass(frozen=True)
class Annotation:
    """A film and what is true of it."""

    id: str
    video: str
    """The name of its file, with or without an ending."""
    reference: Reference = field(default_factory=Reference)
    objects: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON array or of JSON Lines, each with its name in messages. Raises SampleError."""
    rows = index_rows(path)
    for number in range(len(rows)):
        yield rows.where(number), rows.read(number)


def text_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """A field that holds words. Raises SampleError."""
    found = row.get(name)
    if not isinstance(found, str) or not found.strip():
        raise SampleError(f"{where}: {name} is {str(found)[:40]!r}, where a text is due")
    return " ".join(found.split())


def name_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """A field that holds a name or a number. Raises SampleError."""
    found = row.get(name)
    if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).strip():
        raise SampleError(f"{where}: {name} is {str(found)[:40]!r}, where a name is due")
    return str(found).strip()


def texts_of(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """A field that holds a list of texts, empty where it is missing or null. Raises SampleError."""
    found = row.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise SampleError(f"{where}: {name} is {str(found)[:40]!r}, where a list of texts is due")
    return tuple(" ".join(each.split()) for each in found if each.strip())
