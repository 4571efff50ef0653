"""Writers of samples: a folder that a killed run leaves so that the next one goes on in it."""

from pathlib import Path
from typing import Literal, Protocol

from magicvl.train.samples.sample import Sample

Format = Literal["llava", "webdataset"]
MARKS: dict[Format, str] = {"llava": "samples.json", "webdataset": "finished"}
"""The file that a finished folder has."""


class Writer(Protocol):
    """Adds samples to a folder, in order."""

    @property
    def count(self) -> int:
        """Samples that are safe in the folder: a run that goes on begins after them."""

    def cut(self, count: int) -> None:
        """Takes off what stands behind the first `count` samples."""

    def add(self, sample: Sample) -> None:
        """Adds a sample. Raises PictureError, SampleError and leaves the folder as it was."""

    def finish(self) -> Path:
        """Makes the folder whole; returns what names its samples in a spec."""

    def close(self) -> None:
        """Lets go of the folder, whole or not."""


def make_writer(kind: Format, folder: Path) -> Writer:
    """The writer of a format, going on in a folder that another run began. Raises UsageError."""
    if kind == "llava":
        from magicvl.train.samples.write_llava import LlavaWriter

        return LlavaWriter(folder)
    from magicvl.train.samples.write_shards import ShardWriter

    return ShardWriter(folder)


def is_finished(kind: Format, folder: Path) -> bool:
    """Whether a folder has everything that it shall have."""
    return (folder / MARKS[kind]).exists()
