"""The questions of a batch: a file of JSON Lines, read and checked before anything is computed.

    {"id": "r1", "image": "receipt.png", "prompt": "What is the total?"}
    {"images": ["a.png", "b.png"], "prompt": "What changed?", "max_tokens": 64, "meta": {"split": "dev"}}

A row that cannot be asked is kept with its reason, so that it is reported like a picture that cannot be read.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from magicvl.edge.answer import Options
from magicvl.errors import UsageError

FIELDS: dict[str, tuple[type, ...]] = {
    "id": (str, int),
    "image": (str,),
    "images": (list,),
    "prompt": (str,),
    "system": (str,),
    "max_tokens": (int,),
    "budget": (int,),
    "meta": (object,),
}
"""What a row may hold; null is as good as nothing. `meta` is repeated in the answer's row, whatever it is."""
OWN_OPTIONS = ("max_tokens", "budget")
"""Options that a row may set for itself."""


@dataclass(frozen=True)
class Row:
    """One question, or why there is none."""

    number: int
    """Line of the file, from 1."""
    id: str | int | None = None
    """The row's own name, unique in its file; None where it has none."""
    pictures: tuple[Path, ...] = ()
    prompt: str = ""
    options: Options = field(default_factory=Options)
    system: str | None = None
    meta: object = None
    error: str | None = None
    """Why the row cannot be asked, in one line."""


@dataclass(frozen=True)
class Questions:
    """A file of rows."""

    path: Path
    rows: tuple[Row, ...]
    """In the file's order; lines with nothing but white space are left out."""
    sha256: str
    """Hash of the file's bytes."""


def read_questions(path: Path, options: Options, prompt: str | None = None) -> Questions:
    """Reads a file of rows, all of it at once: what happens to the file later changes nothing.

    Pictures lie relative to the file's folder. `options` and `prompt` are those of rows without their own. Raises
    UsageError where the file cannot be read or has no row; what is wrong with a row is in the row.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [
        _row(number, line, path.parent, options, prompt)
        for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
        if line.strip()
    ]
    if not rows:
        raise UsageError(f"{path}: no row in it; each line is one question, a JSON object")
    return Questions(path, tuple(_unique(rows)), hashlib.sha256(data).hexdigest())


def _row(number: int, line: bytes, folder: Path, options: Options, prompt: str | None) -> Row:
    row = Row(number)
    try:
        data = _parse(line)
        row = replace(row, id=_typed(data, "id"), meta=data.get("meta"))
        _check_fields(data)
        asked = data.get("prompt", prompt)
        if not asked:
            raise ValueError("no prompt: give the row one, or all rows one with -p")
        own = {name: data[name] for name in OWN_OPTIONS if name in data}
        return replace(
            row,
            pictures=_pictures(data, folder),
            prompt=asked,
            options=replace(options, **own),
            system=data.get("system"),
        )
    except (ValueError, RecursionError, UsageError) as error:
        return replace(row, error=f"not a question: {error}")


def _parse(line: bytes) -> dict[str, Any]:
    """The object of a line, without its nulls. Raises ValueError."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    try:
        # "\ud800" is half a character: JSON can spell it, UTF-8 and tokenisers cannot.
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair in a text") from None
    return {name: value for name, value in data.items() if value is not None}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _typed(data: dict[str, Any], name: str) -> Any:
    """The value of a field, None where there is none. Raises ValueError for a value of another type."""
    value = data.get(name)
    kinds = FIELDS[name]
    if value is None or object in kinds or (isinstance(value, kinds) and not isinstance(value, bool)):
        return value
    wanted = " or ".join({str: "a text", int: "a whole number", list: "a list of paths"}[kind] for kind in kinds)
    raise ValueError(f"{name} is {json.dumps(value)[:40]}, it must be {wanted}")


def _check_fields(data: dict[str, Any]) -> None:
    if unknown := sorted(data.keys() - FIELDS.keys()):
        known = ", ".join(FIELDS)
        raise ValueError(f"unknown field {unknown[0]!r}: a row has {known}; what is yours goes into meta")
    for name in FIELDS:
        _typed(data, name)


def _pictures(data: dict[str, Any], folder: Path) -> tuple[Path, ...]:
    if "image" in data and "images" in data:
        raise ValueError("both image and images: one of them is enough")
    names = [data["image"]] if "image" in data else data.get("images", [])
    if not names:
        raise ValueError("no picture: it needs image or images")
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("an image is the path of a picture, a text that is not empty")
    return tuple(folder / name for name in names)


def _unique(rows: list[Row]) -> list[Row]:
    """The rows, of which those that repeat an id are in error."""
    first: dict[str | int, int] = {}
    for index, row in enumerate(rows):
        if row.id is not None and (line := first.setdefault(row.id, row.number)) != row.number:
            rows[index] = replace(row, error=f"not a question: the id {row.id!r} is that of line {line} already")
    return rows
