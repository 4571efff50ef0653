"""Samples as files: a picture as the bytes that it has or gets, a sample as the row of a JSON file."""

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from magicvl.edge.pixels import FORMATS, PictureSource
from magicvl.errors import PictureError, SampleError
from magicvl.train.samples.conversation import MARKER
from magicvl.train.samples.sample import Sample, Turn

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}
MOST_PICTURE = 64 << 20
"""Bytes of a picture's file."""


def picture_file(picture: PictureSource) -> tuple[bytes, str]:
    """A picture's bytes and the suffix of its format: those that it has; a Pillow image becomes a PNG.

    Raises PictureError.
    """
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue(), ".png"
    data = picture if isinstance(picture, bytes) else _read(Path(picture))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return data, SUFFIXES[opened.format or ""]
    except (OSError, SyntaxError, ValueError, KeyError, Image.DecompressionBombError) as error:
        name = "a picture" if isinstance(picture, bytes) else os.fspath(picture)
        raise PictureError(f"{name}: not a picture in a format that is read ({error})") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_PICTURE + 1)
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_PICTURE:
        raise PictureError(f"{path}: over {MOST_PICTURE:,} bytes, the most of a picture")
    return data


def row_of(sample: Sample) -> dict[str, Any]:
    """The row of a sample in LLaVA's format, pictures left out. Raises SampleError for words that have its markers.

    Beyond LLaVA's fields a row has `category` and `source`, answers `metric`, `task` and `others` where they are not
    the usual ones, and `boxes` and `events` where they are known: other readers pass over them.
    """
    conversations: list[dict[str, Any]] = []
    for number, turn in enumerate(sample.turns):
        if MARKER in turn.prompt:
            raise SampleError(f"sample {sample.id} of {sample.source}: its words hold {MARKER}, the mark of a picture")
        markers = f"{MARKER}\n" * len(sample.pictures) if number == 0 else ""
        conversations.append({"from": "human", "value": f"{markers}{turn.prompt}"})
        conversations.append({"from": "gpt", "value": turn.answer} | _beside(turn))
    row: dict[str, Any] = {"id": sample.id, "category": sample.category, "source": sample.source}
    row["conversations"] = conversations
    if sample.boxes is not None:
        row["boxes"] = [asdict(box) for box in sample.boxes]
    if sample.events:
        row["events"] = [asdict(event) for event in sample.events]
    return row


def _beside(turn: Turn) -> dict[str, Any]:
    beside: dict[str, Any] = {}
    if turn.metric != "exact":
        beside["metric"] = turn.metric
    if turn.task:
        beside["task"] = turn.task
    if turn.others:
        beside["others"] = list(turn.others)
    return beside
