"""CaReBench (arXiv 2501.00513): long captions by people, with the actions and objects that are in them.

    [{"idx": 0, "video": "v_00001.mp4", "caption": "A man ...", "events": ["A man lifts a barbell.", ...],
      "objects": ["A man in a black shirt.", ...]}, ...]

The file is json/metadata.json of the published set. Seen of it is how its authors' evaluation reads it: idx, video
and caption of every row, events and objects where they are there, else taken from the caption. The file itself could
not be looked at, so other columns than these are passed over.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicvl.bench.video.annotation import Annotation, name_of, rows_of, text_of, texts_of
from magicvl.train.rewards.reference import Reference


def read_carebench(path: Path) -> list[Annotation]:
    """The films of a file. Raises SampleError with the row's number."""
    return [_annotation(row, where) for where, row in rows_of(path)]


def _annotation(row: Mapping[str, Any], where: str) -> Annotation:
    video = name_of(row, "video", where)
    reference = Reference(events=texts_of(row, "events", where), caption=text_of(row, "caption", where))
    return Annotation(
        name_of(row, "idx", where) if "idx" in row else video, video, reference, texts_of(row, "objects", where)
    )
