"""Answers that are kept: a file of JSON Lines, so that a measurement of hours can be stopped and gone on with.

A line names its question by what decides the answer: the bundle, the pictures, the prompt and the limits. A changed
picture or prompt is another question. How answers are scored is not in it: scores are computed anew each time.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from magicvl.bench.accuracy.question import Question
from magicvl.edge.files import append_whole
from magicvl.edge.pixels import PictureSource
from magicvl.errors import MagicVLError, UsageError

BEGINNING = b'{"key": "'
"""Of each line."""


def picture_digest(source: PictureSource) -> str:
    """Hash of a picture: of its pixels, or of its file. A file that cannot be read has the hash of nothing."""
    if isinstance(source, Image.Image):
        return hashlib.sha256(f"{source.mode} {source.size} ".encode() + source.tobytes()).hexdigest()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except (OSError, ValueError):
        # What is wrong with it is said when it is opened.
        return hashlib.sha256().hexdigest()


def answer_key(bundle: str, question: Question, pictures: Sequence[str], budget: int | None) -> str:
    """What an answer is kept under; the bundle and the pictures by their digests."""
    decides = [bundle, *pictures, question.prompt, question.max_tokens, question.choices, budget]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """An answer, and what it took."""

    answer: str
    finish_reason: str
    """stop, or what cut it short: length or context."""
    visual_tokens: int
    """Of all its pictures."""


class Answers:
    """Answers by key, on disk where there is a path. Close it, or use it in a `with`."""

    def __init__(self, path: Path | None) -> None:
        """Reads what is there; a last line cut short is taken off.

        Raises UsageError for a file of something else, MagicVLError where another process writes it or it cannot be
        written.
        """
        self._known: dict[str, Kept] = {}
        self._path = path
        self._file = -1
        if path is not None:
            try:
                self._open(path)
            except OSError as error:
                self.close()
                raise MagicVLError(f"{path}: cannot be written ({error.strerror})") from None
            except BaseException:
                self.close()
                raise

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Kept | None:
        """The answer of a key, None where there is none."""
        return self._known.get(key)

    def add(self, key: str, kept: Kept, **about: Any) -> None:
        """Keeps an answer; when this returns it is on disk. Raises MagicVLError."""
        self._known[key] = kept
        if self._file < 0:
            return
        row = f"{json.dumps({'key': key, **about, **asdict(kept)}, ensure_ascii=False)}\n"
        try:
            append_whole(self._file, row.encode(errors="backslashreplace"))
        except OSError as error:
            raise MagicVLError(
                f"{self._path}: an answer cannot be written ({error.strerror}); the {len(self._known) - 1:,} before it "
                f"are safe, the same command goes on after them"
            ) from None

    def close(self) -> None:
        """Lets go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MagicVLError(f"{path}: another process is writing it; wait for it, or give another file") from None
        whole = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    self._check_cut(path, number, line)
                    break
                self._read(path, number, line)
                whole += len(line)
        os.ftruncate(self._file, whole)

    def _check_cut(self, path: Path, number: int, line: bytes) -> None:
        """Raises UsageError where a last line without its end was not begun by us."""
        if line[: len(BEGINNING)] != BEGINNING[: len(line)]:
            raise UsageError(f"{path}: line {number} is no answer that was kept here; give another file")

    def _read(self, path: Path, number: int, line: bytes) -> None:
        try:
            row = json.loads(line)
            kept = Kept(**{name: row[name] for name in ("answer", "finish_reason", "visual_tokens")})
            key = row["key"]
        except (ValueError, KeyError, TypeError):
            key = kept = None
        if kept is None or [type(key), *map(type, astuple(kept))] != [str, str, str, int]:
            raise UsageError(f"{path}: line {number} is no answer that was kept here; give another file")
        self._known[key] = kept
