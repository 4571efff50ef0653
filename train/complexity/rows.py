"""What was measured so far: a file of JSON Lines that only ever grows, so that a killed run goes on where it was.

    {"sample": "0f3a...", "source": "generated/receipt", "id": "...", "part": "terms 1 77c2...", "values": {...}}

A row belongs to what the sample holds, not to its name, and `part` to the model that read it: a sample that has
changed, or another model, is measured anew, and what was measured before stays good.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from magicvl.edge.files import append_whole
from magicvl.edge.known_hashes import known_sha256
from magicvl.errors import CheckpointError, MagicVLError, UsageError
from magicvl.train.samples.sample import Sample

Values = Mapping[str, Any]
_BEGINNING = b'{"sample": "'
"""Of each row."""
_DIGITS = 32
_MODEL_FILES = (".json", ".safetensors", ".jinja")


class Rows:
    """The file, held by this process. Use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file; a last line that was cut short is taken off.

        Raises UsageError for a file of something else, MagicVLError where another process holds it.
        """
        self.path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise UsageError(f"{path}: it cannot be written ({error.strerror})") from None
        try:
            self._hold()
            self._known = self._read()
        except BaseException:
            self._file.close()
            raise

    def get(self, sample: str, part: str) -> Values | None:
        """What was measured of a sample, by its digest."""
        return self._known.get((sample, part))

    def add(self, digest: str, sample: Sample, part: str, values: Values) -> None:
        """Appends what was measured; when this returns it is on disk. Raises MagicVLError."""
        row = {"sample": digest, "source": sample.source, "id": sample.id, "part": part, "values": values}
        try:
            append_whole(self._file.fileno(), f"{json.dumps(row)}\n".encode())
        except OSError as error:
            raise MagicVLError(
                f"{self.path}: it cannot be written ({error.strerror}); the {len(self._known):,} rows in it are safe, "
                f"the same command goes on after them"
            ) from None
        self._known[digest, part] = values

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _hold(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MagicVLError(f"{self.path}: another process is measuring into it") from None

    def _read(self) -> dict[tuple[str, str], Values]:
        known: dict[tuple[str, str], Values] = {}
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            cut = not line.endswith(b"\n")
            if cut and line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
                self._file.truncate(whole)
                break
            whole += len(line)
            try:
                row = json.loads(line)
                known[str(row["sample"]), str(row["part"])] = dict(row["values"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise UsageError(f"{self.path}: line {number} is no row of complexity; name another output") from None
        self._file.seek(0, os.SEEK_END)
        return known


def sample_digest(sample: Sample) -> str:
    """What a sample holds, as a short hash: words, boxes, and pictures by their pixels, bytes, or place and time."""
    digest = hashlib.sha256(repr((sample.source, sample.id, sample.turns, sample.boxes)).encode(errors="replace"))
    for picture in sample.pictures:
        if isinstance(picture, Image.Image):
            digest.update(repr((picture.mode, picture.size)).encode() + picture.tobytes())
        elif isinstance(picture, bytes):
            digest.update(picture)
        else:
            digest.update(_stamp(Path(os.fspath(picture))).encode(errors="surrogateescape"))
    return digest.hexdigest()[:_DIGITS]


def fingerprint(model: Path) -> str:
    """A short hash of a GGUF file or a model's directory. Raises CheckpointError where it cannot be read."""
    try:
        if model.is_file():
            return known_sha256(model)[:_DIGITS]
        files = sorted(path for path in model.iterdir() if path.suffix in _MODEL_FILES and path.is_file())
        hashes = [(path.name, known_sha256(path)) for path in files]
    except OSError as error:
        raise CheckpointError(f"{model}: it cannot be read ({error.strerror})") from None
    return hashlib.sha256(repr(hashes).encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def _stamp(path: Path) -> str:
    try:
        its = path.stat()
    except (OSError, ValueError):
        return f"{path} missing"
    return f"{path} {its.st_size} {its.st_mtime_ns}"
