"""`magicvl train draw`: samples of any source, written as LLaVA JSON or WebDataset shards, and a contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from magicvl.ctrl_c import ctrl_c
from magicvl.errors import UsageError
from magicvl.sample_progress import SampleProgress
from magicvl.train.generator.dataset import Split
from magicvl.train.samples.draw import write_samples
from magicvl.train.samples.job import claim
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.source import Endless, Samples, Stream
from magicvl.train.samples.writer import Format, make_writer

Note = Callable[[str], None]
SHEET_SAMPLES = 30
"""On a contact sheet, at most."""


@dataclass(frozen=True)
class DrawCall:
    """The options of `train draw`."""

    spec: str
    output: Path | None = None
    count: int | None = None
    """Samples; None for all there are."""
    kind: Format = "llava"
    seed: int = 0
    split: Split = "train"
    sheet: Path | None = None
    """A PNG with the first samples."""
    force: bool = False

    def __post_init__(self) -> None:
        if self.output is None and self.sheet is None:
            raise UsageError("nothing to write: give -o FOLDER, --sheet PNG, or both")
        if self.count is not None and self.count < 1:
            raise UsageError(f"--count {self.count}: it must be at least 1")
        if self.sheet is not None and self.sheet.exists() and not self.force:
            raise UsageError(f"{self.sheet}: it is there already; give another --sheet, or --force to overwrite it")
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise UsageError(f"--sheet {self.sheet}: a file that ends in .png is due")


def draw(call: DrawCall, note: Note) -> tuple[str, int]:
    """Writes the samples and the sheet; returns what to print, and the exit code: 130 where Ctrl-C stopped it.

    Raises UsageError, SampleError, PictureError, MagicVLError.
    """
    stream = open_samples(call.spec, call.seed, call.split)
    said: list[str] = []
    if call.output is not None:
        if isinstance(stream, Endless) and call.count is None:
            raise UsageError(f"{call.spec} has no end: say how many with --count")
        path = _write(stream, call, call.output, note)
        if path is None:
            return "", 130
        said.append(str(path))
    if call.sheet is not None:
        said.append(_sheet(stream, call, call.sheet))
    return "\n".join(said), 0


def total_of(stream: Stream, count: int | None) -> int | None:
    """How many samples a job has, where that is known."""
    if isinstance(stream, Samples):
        return len(stream) if count is None else min(count, len(stream))
    return count


def _write(stream: Stream, call: DrawCall, folder: Path, note: Note) -> Path | None:
    job = {"command": "draw", "spec": call.spec, "seed": call.seed, "split": call.split, "format": call.kind}
    goes_on = claim(folder, job | {"count": call.count}, force=call.force)
    writer = make_writer(call.kind, folder)
    if goes_on and writer.count:
        note(f"{folder}: {writer.count:,} samples are there already")
    progress = SampleProgress("written:", total_of(stream, call.count))
    with ctrl_c("\nmagicvl: stopping after this sample; Ctrl-C again stops at once\n") as stopped:
        path = write_samples(stream, writer, call.count, progress, stopped)
    progress.clear()
    if path is None:
        note(f"{folder}: stopped; the same command goes on from there")
    return path


def _sheet(stream: Stream, call: DrawCall, path: Path) -> str:
    from magicvl.train.samples.sheet import write_sheet

    shown = list(islice(stream, min(SHEET_SAMPLES, call.count or SHEET_SAMPLES)))
    if not shown:
        raise UsageError(f"{call.spec}: no sample to show")
    try:
        write_sheet(shown, path)
    except OSError as error:
        raise UsageError(f"{path}: it can't be written ({error.strerror})") from None
    return str(path)
