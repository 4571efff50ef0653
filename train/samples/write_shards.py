"""Writes WebDataset shards: tar files, each of which is there whole or not at all."""

import io
import json
import tarfile
from pathlib import Path

from magicvl.errors import MagicVLError, UsageError
from magicvl.train.samples.encode import picture_file, row_of
from magicvl.train.samples.sample import Sample

SHARD_SAMPLES = 1_000
DONE = "finished"
"""The mark of a folder whose last shard may be a short one."""


class ShardWriter:
    """A folder of shards in the making. What a killed run had in its last shard is written again."""

    def __init__(self, folder: Path, shard_samples: int = SHARD_SAMPLES) -> None:
        """Goes on behind the last shard. Raises UsageError for a folder that is finished, or not to be written."""
        self._folder = folder
        self._size = shard_samples
        self._partial = folder / ".partial"
        """The shard that is open; it takes its name when it is whole."""
        self._tar: tarfile.TarFile | None = None
        if (folder / DONE).exists():
            raise UsageError(f"{folder}: its shards are finished; give another -o, or --force to replace them")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: it can't be written ({error.strerror})") from None
        self._shards = 0
        while self._path(self._shards).exists():
            self._shards += 1
        self._added = 0
        """Samples in the shard that is open."""

    @property
    def count(self) -> int:
        """Samples in whole shards."""
        return self._shards * self._size

    def cut(self, count: int) -> None:
        """Takes off the shards that hold more than the first `count` samples; `count` is at a shard's end."""
        while self.count > count:
            self._shards -= 1
            self._path(self._shards).unlink()

    def add(self, sample: Sample) -> None:
        """Adds a sample to the shard that is open; a full one takes its name."""
        row = row_of(sample)
        files = [picture_file(picture) for picture in sample.pictures]
        key = f"{self.count + self._added:09}"
        try:
            tar = self._tar or self._begin()
            for number, (data, suffix) in enumerate(files):
                _member(tar, f"{key}.{number}{suffix}" if len(files) > 1 else f"{key}{suffix}", data)
            _member(tar, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
            self._added += 1
            if self._added == self._size:
                self._end()
        except OSError as error:
            self.close()
            raise MagicVLError(
                f"{self._folder}: shard {self._shards:06} can't be written ({error.strerror}); those before are safe, "
                f"the same command goes on after them"
            ) from None

    def finish(self) -> Path:
        """Closes the last shard, which may be a short one."""
        if self._tar is not None:
            self._end()
        (self._folder / DONE).touch()
        return self._folder / "*.tar"

    def close(self) -> None:
        """Gives up the shard that is open."""
        tar, self._tar, self._added = self._tar, None, 0
        if tar is not None:
            tar.close()
            self._partial.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.tar"

    def _begin(self) -> tarfile.TarFile:
        self._tar = tarfile.open(self._partial, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - _end closes it
        return self._tar

    def _end(self) -> None:
        assert self._tar is not None
        self._tar.close()
        self._tar, self._added = None, 0
        self._partial.replace(self._path(self._shards))
        self._shards += 1


def _member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a member that looks the same whoever writes it, and when."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
