"""`magicvl train clips`: films with known truth, written as files, and a contact sheet of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from magicvl.ctrl_c import ctrl_c
from magicvl.errors import UsageError
from magicvl.sample_progress import SampleProgress
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.folder import ROWS, write_clips, written
from magicvl.train.clips.make import make_clip
from magicvl.train.clips.strips import write_sheet
from magicvl.train.clips.write import Format, mp4_codec
from magicvl.train.generator.dataset import Split
from magicvl.train.samples.job import claim

Note = Callable[[str], None]
SHEET = "sheet.png"
SHEET_CLIPS = 12
"""On the contact sheet, at most."""


@dataclass(frozen=True)
class ClipsCall:
    """The options of `train clips`."""

    output: Path
    count: int
    style: str = "shapes/mixed"
    kind: Format = "mp4"
    seed: int = 0
    split: Split = "train"
    force: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"--count {self.count}: it must be at least 1")

    def clip(self, number: int) -> Clip:
        """The clip of that number."""
        return make_clip(self.seed, number, self.split, self.style)


def clips(call: ClipsCall, note: Note) -> tuple[str, int]:
    """Writes films, rows and sheet; returns what to print, and the exit code: 130 where Ctrl-C stopped it.

    Raises UsageError, SampleError.
    """
    # A style that is none, or what is missing here, is refused before anything is written.
    call.clip(0)
    if call.kind == "mp4":
        mp4_codec()
    job = {"command": "clips", "style": call.style, "seed": call.seed, "split": call.split, "format": call.kind}
    if claim(call.output, job | {"count": call.count}, force=call.force) and (there := written(call.output)):
        note(f"{call.output}: {there:,} clips are there already")
    progress = SampleProgress("written:", call.count)
    try:
        with ctrl_c("\nmagicvl: stopping after this clip; Ctrl-C again stops at once\n") as stopped:
            whole = write_clips(call.clip, call.count, call.output, call.kind, progress, stopped)
        progress.clear()
        if not whole:
            note(f"{call.output}: stopped; the same command goes on from there")
            return "", 130
        sheet = call.output / SHEET
        write_sheet([call.clip(number) for number in range(min(call.count, SHEET_CLIPS))], sheet)
    except OSError as error:
        raise UsageError(f"{call.output}: it can't be written ({error.strerror})") from None
    return f"{call.output / ROWS}\n{sheet}", 0
