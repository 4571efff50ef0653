"""What was decided about each sample: a file of JSON Lines that only ever grows by whole rows.

A row has the number of the sample in its source, its id and source, the rule by which it went (null where it stays)
and why; one that stays has what later samples are compared with, so that a run that goes on need not look again.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from magicvl.errors import MagicVLError
from magicvl.train.filters.duplicates import Marks

FILE = "decisions.jsonl"


@dataclass(frozen=True)
class Decision:
    """One sample's fate."""

    id: str
    source: str
    rule: str | None = None
    """The rule by which it went; None where it stays."""
    why: str = ""
    excerpt: str = ""
    """The beginning of what went out."""
    marks: Marks | None = None
    """Of one that stays."""
    judged: tuple[float, ...] = ()
    """The judge's scores, less its line."""

    @property
    def name(self) -> str:
        """What messages call the sample."""
        return f"{self.id} of {self.source}" if self.source else f"number {self.id}"


class Decisions:
    """The file, held by this process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file = self._path.open("a+b")

    def read(self) -> Iterator[tuple[Decision, int]]:
        """The decisions in the file, each with the byte behind it; a last row cut short is left out."""
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield self._decision(line), end

    def cut(self, end: int) -> None:
        """Takes off what stands behind a byte."""
        self._file.truncate(end)

    def add(self, decision: Decision) -> None:
        """Appends a row. Raises MagicVLError."""
        try:
            self._file.write(f"{json.dumps(_row(decision), ensure_ascii=False)}\n".encode())
            self._file.flush()
        except OSError as error:
            raise MagicVLError(f"{self._path}: it can't be written ({error.strerror})") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _decision(self, line: bytes) -> Decision:
        try:
            row = json.loads(line)
            marks = None if row.get("prompt") is None else _marks(row)
            judged = tuple(row.get("judged", ()))
            return Decision(
                row["id"], row["source"], row["rule"], row.get("why", ""), row.get("excerpt", ""), marks, judged
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MagicVLError(f"{self._path}: it is damaged; --force begins anew") from None


def _row(decision: Decision) -> dict[str, Any]:
    row: dict[str, Any] = {"id": decision.id, "source": decision.source, "rule": decision.rule}
    for name in ("why", "excerpt"):
        if value := getattr(decision, name):
            row[name] = value
    if decision.judged:
        row["judged"] = [round(value, 4) for value in decision.judged]
    if (marks := decision.marks) is not None:
        row |= {"prompt": _spell(marks.prompt), "answer": _spell(marks.answer), "long": marks.long}
        row["pictures"] = [_spell(each) for each in marks.pictures]
    return row


def _marks(row: dict[str, Any]) -> Marks:
    pictures = tuple(np.frombuffer(base64.b64decode(each), np.uint64) for each in row["pictures"])
    prompt, answer = (np.frombuffer(base64.b64decode(row[name]), np.uint32) for name in ("prompt", "answer"))
    return Marks(prompt, answer, pictures, row["long"])


def _spell(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()
