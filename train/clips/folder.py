"""A folder of written clips: a film each, and clips.jsonl with all that is true of them."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from magicvl.edge.files import append_whole
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.write import FPS, Format, write_film

ROWS = "clips.jsonl"
_SUFFIXES: dict[Format, str] = {"mp4": ".mp4", "gif": ".gif", "frames": ""}


def write_clips(
    make: Callable[[int], Clip],
    count: int,
    folder: Path,
    kind: Format,
    progress: Callable[[int], None],
    stopped: Callable[[], bool],
) -> bool:
    """Writes clips 0 to `count` - 1 into a folder, after those that are there; False where it was `stopped` before.

    Raises UsageError, OSError.
    """
    there, size = _whole_rows(folder)
    rows = os.open(folder / ROWS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.ftruncate(rows, size)
        for number in range(there, count):
            if stopped():
                return False
            clip = make(number)
            name = f"{number:05d}{_SUFFIXES[kind]}"
            write_film(clip, folder / name, kind)
            append_whole(rows, f"{json.dumps(row(clip, name), ensure_ascii=False)}\n".encode())
            progress(number + 1)
    finally:
        os.close(rows)
    return True


def row(clip: Clip, file: str) -> dict[str, object]:
    """What is true of a clip, as it stands in clips.jsonl; `file` is its film, or the folder of its frames."""
    return {
        "id": clip.id,
        "file": file,
        "width": clip.width,
        "height": clip.height,
        "seconds": clip.seconds,
        "fps": FPS,
        "subjects": [asdict(subject) for subject in clip.subjects],
        "events": [asdict(event) for event in clip.events],
        "caption": clip.caption,
    }


def written(folder: Path) -> int:
    """Clips that a folder has."""
    return _whole_rows(folder)[0]


def _whole_rows(folder: Path) -> tuple[int, int]:
    """How many rows there are, and their bytes; one that a killed run cut short is none."""
    path = folder / ROWS
    data = path.read_bytes() if path.exists() else b""
    return data.count(b"\n"), data.rfind(b"\n") + 1
