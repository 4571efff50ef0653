"""Writes LLaVA's format: `samples.json` and a folder `pictures`.

While it grows it is `samples.jsonl`, a whole row at a time; the array, which LLaVA's own trainer reads, is made at
the end.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from magicvl.edge.files import whole_file
from magicvl.errors import MagicVLError, UsageError
from magicvl.train.samples.encode import picture_file, row_of
from magicvl.train.samples.sample import Sample

ROWS = "samples.jsonl"
ARRAY = "samples.json"
PICTURES = "pictures"
FOLDER_SAMPLES = 1_000
"""Samples whose pictures share a folder."""


class LlavaWriter:
    """A folder in LLaVA's format in the making."""

    def __init__(self, folder: Path) -> None:
        """Goes on behind the last whole row. Raises UsageError for a folder that is finished, or not to be written."""
        self._folder = folder
        if (folder / ARRAY).exists():
            raise UsageError(f"{folder / ARRAY}: it is there already; give another -o, or --force to replace it")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / ROWS).open("a+b")
            self._ends = [0]
            """Where each row ends."""
            self._file.seek(0)
            for line in self._file:
                if line.endswith(b"\n"):
                    self._ends.append(self._ends[-1] + len(line))
            self._file.truncate(self._ends[-1])
        except OSError as error:
            raise UsageError(f"{folder}: it can't be written ({error.strerror})") from None

    @property
    def count(self) -> int:
        """Rows that are written."""
        return len(self._ends) - 1

    def cut(self, count: int) -> None:
        """Takes off what stands behind the first `count` rows."""
        del self._ends[count + 1 :]
        self._file.truncate(self._ends[-1])

    def add(self, sample: Sample) -> None:
        """Writes a sample's pictures, then its row."""
        row = row_of(sample)
        files = [picture_file(picture) for picture in sample.pictures]
        try:
            names = [self._picture(data, suffix, number) for number, (data, suffix) in enumerate(files)]
            if names:
                row["image"] = names[0] if len(names) == 1 else names
            line = f"{json.dumps(row, ensure_ascii=False)}\n".encode()
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._ends[-1])
            raise MagicVLError(
                f"{self._folder}: sample {self.count + 1:,} can't be written ({error.strerror}); those before are "
                f"safe, the same command goes on after them"
            ) from None
        self._ends.append(self._ends[-1] + len(line))

    def _picture(self, data: bytes, suffix: str, number: int) -> str:
        own = f"{self.count:09}" + (f"-{number}" if number else "") + suffix
        name = f"{PICTURES}/{self.count // FOLDER_SAMPLES:06}/{own}"
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def finish(self) -> Path:
        """Makes the array of the rows, and takes the rows away."""
        self._file.seek(0)
        path = self._folder / ARRAY
        try:
            with whole_file(path) as partial, partial.open("wb") as array:
                array.write(b"[")
                for number, line in enumerate(self._file):
                    array.write((b",\n" if number else b"\n") + line.rstrip(b"\n"))
                array.write(b"\n]\n")
                array.flush()
                os.fsync(array.fileno())
        except OSError as error:
            raise MagicVLError(f"{path}: it can't be written ({error.strerror})") from None
        self.close()
        (self._folder / ROWS).unlink()
        return path

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
