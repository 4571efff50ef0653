"""Benchmarks as tables: tab-separated files with pictures in base64, as VLMEvalKit publishes them.

    index  image | image_path  question  [hint]  [A B C D ...]  answer  [category]  [l2-category]  [split]

A picture may be named by the index of another row, which has it. The file is read twice: at first everything but the
pictures, then each picture when it is asked about, so that a table of gigabytes needs little memory.
"""

import ast
import base64
import binascii
import csv
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from magicvl.edge.pixels import PictureSource
from magicvl.errors import PictureError, UsageError

MOST_FIELD = 2**26
"""Most characters of a field: a picture of 48 MB in base64."""
MOST_LINE = 2**28
"""Most bytes of a line."""
LONGEST_REFERENCE = 64
"""Characters up to which an image is the index of another row, as VLMEvalKit has it."""
MISSING = ("", "nan", "NaN")


@dataclass(frozen=True)
class Row:
    """A row without its pictures."""

    index: str
    fields: Mapping[str, str]
    """By column, lower case except options; empty fields are left out."""
    place: int | None
    """Byte of the file where the row that has the picture begins, its own or that of the row it names; None for a
    picture in a file of its own, or none at all."""
    picture: str
    """What is the same for rows with the same picture, empty where there is none."""
    refers: bool = False
    """Whether `picture` is the index of another row."""

    @property
    def options(self) -> dict[str, str]:
        """What can be chosen, by letter."""
        return {letter: self.fields[letter] for letter in string.ascii_uppercase if letter in self.fields}


@dataclass(frozen=True)
class Table:
    """A file of rows."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    """Those with a picture, in the file's order."""
    without_picture: int
    """Rows that were left out, since there is nothing to see."""

    def pictures(self, row: Row) -> tuple[PictureSource, ...]:
        """The pictures of a row. Raises PictureError where they are none."""
        if row.place is None:
            return tuple(self.path.parent / name for name in as_list(row.fields["image_path"]))
        with self.path.open("rb") as file:
            file.seek(row.place)
            _, record = next(_records(self.path, file, row.place))
        field = record[self.columns.index("image")]
        return tuple(_decoded(text, f"{self.path}: index {row.index}") for text in as_list(field))


def read_table(path: Path) -> Table:
    """Reads all of a table but its pictures. Raises UsageError with one line that names file and row."""
    try:
        with path.open("rb") as file:
            records = _records(path, file, 0)
            _, header = next(records, (0, [""]))
            columns = _columns(path, header)
            found = [_row(path, columns, place, record) for place, record in records]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if not found:
        raise UsageError(f"{path}: no row in it")
    rows = _resolved(path, found)
    kept = tuple(row for row in rows if row.picture)
    if not kept:
        raise UsageError(f"{path}: none of its {len(rows):,} rows has a picture")
    return Table(path, columns, kept, len(rows) - len(kept))


def as_list(field: str) -> list[str]:
    """The texts of a field that holds a list as Python writes it; any other field is a list of itself."""
    if field.startswith("[") and field.endswith("]"):
        try:
            value = ast.literal_eval(field)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return [field]
        if isinstance(value, list) and value and all(isinstance(each, str | int | float) for each in value):
            return [str(each) for each in value]
    return [field]


def _records(path: Path, file: BinaryIO, start: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the byte at which it begins. Raises UsageError."""
    lines = _Lines(path, file, start)
    reader = csv.reader(lines, delimiter="\t")
    while True:
        place = lines.place
        # The limit is one for the whole process.
        before = csv.field_size_limit(MOST_FIELD)
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{path}: line {lines.number} is no row of a table ({error})") from None
        finally:
            csv.field_size_limit(before)
        if record is None:
            return
        if record:
            yield place, record


class _Lines:
    """The lines of a file as text, with where the next one begins."""

    def __init__(self, path: Path, file: BinaryIO, place: int) -> None:
        self.place = place
        self.number = 0
        self._path = path
        self._file = file

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MOST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MOST_LINE:
            raise UsageError(f"{self._path}: line {self.number} is longer than {MOST_LINE:,} bytes")
        self.place += len(line)
        try:
            return line.decode("utf-8-sig" if self.place == len(line) else "utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self._path}: line {self.number} is not UTF-8 at byte {error.start + 1}") from None


def _columns(path: Path, header: list[str]) -> tuple[str, ...]:
    columns = tuple(name if name in string.ascii_uppercase else name.lower() for name in header)
    lacking = [name for name in ("index", "question", "answer") if name not in columns]
    if not {"image", "image_path"} & set(columns):
        lacking.append("image or image_path")
    if lacking:
        raise UsageError(f"{path}: no column {', '.join(lacking)}; its first line names the columns, tabs between")
    if len(set(columns)) < len(columns):
        raise UsageError(f"{path}: two columns of its header have one name")
    return columns


def _row(path: Path, columns: tuple[str, ...], place: int, record: list[str]) -> Row:
    fields = {name: text for name, text in zip(columns, record, strict=False) if text not in MISSING}
    index = fields.get("index", "")
    if len(record) != len(columns):
        raise UsageError(f"{path}: index {index[:40]}: {len(record)} fields, the header has {len(columns)}")
    if not index or len(index) > LONGEST_REFERENCE:
        raise UsageError(f"{path}: a row without an index, or with one of more than {LONGEST_REFERENCE} characters")
    image = fields.pop("image", "")
    if len(image) > LONGEST_REFERENCE:
        return Row(index, fields, place, index)
    return Row(index, fields, None, image or fields.get("image_path", ""), refers=bool(image))


def _resolved(path: Path, rows: list[Row]) -> list[Row]:
    """The rows, those that name another one's picture with its place."""
    places: dict[str, int | None] = {}
    for row in rows:
        if row.index in places:
            raise UsageError(f"{path}: index {row.index} stands twice")
        places[row.index] = row.place
    resolved = []
    for row in rows:
        place = places.get(row.picture) if row.refers else row.place
        if row.refers and place is None:
            raise UsageError(f"{path}: index {row.index}: its picture is that of {row.picture!r}, which has none")
        resolved.append(replace(row, place=place))
    return resolved


def _decoded(text: str, name: str) -> bytes:
    """A picture file of its base64. Raises PictureError."""
    plain = text.partition(";base64,")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(plain.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureError(f"{name}: its image is no base64 ({error})") from None
