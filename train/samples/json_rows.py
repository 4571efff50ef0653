"""The rows of a JSON array or of JSON Lines, by number, in a file of any size.

A first pass finds where each row begins and ends, without building anything: strings and brackets are all that
counts. A row is parsed when it is asked for. Incremental parsers (ijson) don't tell where a value begins, so with
one of them each worker would parse the whole file to get at its share.
"""

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from magicvl.errors import SampleError

BLOCK = 1 << 20
"""Bytes that are looked at together."""
MOST_ROW = 16 << 20
"""Bytes of one row."""
MOST_DEPTH = 64
"""Brackets inside each other."""

# What stands before a bracket, whole strings among it, and the bracket; or the rest of a block, where none is left.
_STEP = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])|.+', re.DOTALL)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JsonRows:
    """Where the rows of a file are."""

    path: Path
    begins: npt.NDArray[np.uint64]
    """Each row's first byte."""
    ends: npt.NDArray[np.uint64]
    """The byte after each row."""
    close: int | None
    """Where an array's last bracket is; None for JSON Lines."""

    def __len__(self) -> int:
        return len(self.begins)

    def where(self, index: int) -> str:
        """A row's name in messages; rows are counted from 1 there."""
        return f"{self.path}: row {index + 1:,}"

    def read(self, index: int) -> dict[str, Any]:
        """The object of a row. Raises SampleError where it is none."""
        begin, end = int(self.begins[index]), int(self.ends[index])
        if end - begin > MOST_ROW:
            raise SampleError(f"{self.where(index)}: {end - begin:,} bytes; at most {MOST_ROW:,} are read")
        if self.close is not None:
            self._check_between(int(self.ends[index - 1]) if index else 0, begin, b"," if index else b"[", index)
            if index == len(self) - 1:
                self._check_between(end, self.close, b"", index)
        return parse_object(self._bytes(begin, end), self.where(index))

    def _check_between(self, begin: int, end: int, due: bytes, index: int) -> None:
        """What stands around a row of an array must be its brackets and one comma: no number, no lost word."""
        found = self._bytes(begin, min(end, begin + MOST_ROW)).removeprefix(_BOM).strip()
        if found != due:
            raise SampleError(f"{self.where(index)}: {found[:20]!r} stands beside it, where {due!r} is due")

    def _bytes(self, begin: int, end: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)


def index_rows(path: Path) -> JsonRows:
    """Finds the rows of a file. Raises SampleError for one that is missing, empty, cut short or no JSON."""
    begins, ends = array("Q"), array("Q")
    close: int | None = None
    try:
        with path.open("rb") as file:
            lines = _is_lines(file, path)
            file.seek(0)
            for begin, end in _line_spans(file) if lines else _array_spans(file, path):
                if begin == end:
                    close = begin
                    break
                begins.append(begin)
                ends.append(end)
    except OSError as error:
        raise SampleError(f"{path}: it can't be read ({error.strerror})") from None
    if not begins:
        raise SampleError(f"{path}: no row in it; a JSON array of objects is due, or one object a line")
    return JsonRows(path, np.frombuffer(begins, np.uint64), np.frombuffer(ends, np.uint64), close)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object that some bytes spell. Raises SampleError; `where` begins its message."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else f"{error}"
        raise SampleError(f"{where}: no JSON ({reason})") from None
    if not isinstance(row, dict):
        raise SampleError(f"{where}: {type(row).__name__}, where an object is due")
    return row


def _is_lines(file: IO[bytes], path: Path) -> bool:
    first = file.read(BLOCK).removeprefix(_BOM).lstrip()[:1]
    if first not in (b"[", b"{"):
        raise SampleError(f"{path}: it begins with {first!r}; a JSON array is due, or one object a line")
    return first == b"{"


def _line_spans(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    begin = base = 0
    blank = True
    while block := file.read(BLOCK):
        for end in np.flatnonzero(np.frombuffer(block, np.uint8) == 0x0A).tolist():
            if not blank or block[max(0, begin - base) : end].strip():
                yield begin, base + end
            begin, blank = base + end + 1, True
        blank = blank and not block[max(0, begin - base) :].strip()
        base += len(block)
    if not blank:
        yield begin, base


def _array_spans(file: IO[bytes], path: Path) -> Iterator[tuple[int, int]]:
    """The rows of an array; its last bracket is a span of nothing."""
    depth = begin = count = 0
    for place, token in _tokens(file, path):
        if token in b"[{":
            depth += 1
            begin = place if depth == 2 else begin
            if depth > MOST_DEPTH:
                raise SampleError(f"{path}: row {count + 1:,} has more than {MOST_DEPTH} brackets in each other")
            continue
        depth -= 1
        if depth == 1:
            count += 1
            yield begin, place + 1
        elif depth == 0:
            _check_end(file, place, path)
            yield place, place
            return
    raise SampleError(f"{path}: it is cut short in or after row {count + 1:,}; its last bracket is missing")


def _tokens(file: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """The brackets outside of strings, and where they are."""
    base, held = 0, b""
    while block := file.read(BLOCK):
        held += block
        used = len(held)
        for found in _STEP.finditer(held):
            if found[1] is None:
                # Perhaps the beginning of a string that goes on in the next block.
                used = found.start()
            else:
                yield base + found.end() - 1, found[1]
        base += used
        held = held[used:]
        if len(held) > MOST_ROW:
            raise SampleError(
                f"{path}: byte {base:,} begins a string without an end, or over {MOST_ROW:,} bytes without a bracket"
            )


def _check_end(file: IO[bytes], place: int, path: Path) -> None:
    file.seek(place + 1)
    if rest := file.read(BLOCK).strip():
        raise SampleError(f"{path}: {rest[:20]!r} stands behind the array's end; one array is due")
