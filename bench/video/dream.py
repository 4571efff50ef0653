"""DREAM-1K (Tarsier, arXiv 2407.00634): films of events, told in full.

    {"idx": 1, "vid": 1, "dataset": "DREAM/movie_animation", "video_file": "<placeholder>",
     "text": {"prompt": "...", "response": "A character emerges from smoke and ..."},
     "extra_info": {"events": ["A character emerges from smoke.", ...], "n_subjects": 4, "n_shots": 2, "n_events": 5}}

The file is DREAM-1k.jsonl as its authors publish it beside their evaluation (seen: its rows and how they are read); a
video is called by its vid. Groups are the evaluation's: the five sources, and how many subjects, shots and events.
Their overall score is the mean over sources, ours over films: the same where every source has 200 of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicvl.bench.video.annotation import Annotation, name_of, rows_of, text_of, texts_of
from magicvl.errors import SampleError
from magicvl.train.rewards.reference import Reference

BUCKETS: dict[str, tuple[tuple[int, str], ...]] = {
    "subjects": ((1, "1"), (2, "2"), (3, "3")),
    "shots": ((1, "1"), (2, "2"), (3, "3")),
    "events": ((3, "1 to 3"), (5, "4 or 5"), (7, "6 or 7")),
}
"""What is counted: the most of a group, and its name; beyond is the last group."""
BEYOND = {"subjects": "4 or more", "shots": "4 or more", "events": "8 or more"}
PLACEHOLDER = "<placeholder>"


def read_dream(path: Path) -> list[Annotation]:
    """The films of a file. Raises SampleError with the row's number."""
    return [_annotation(row, where) for where, row in rows_of(path)]


def _annotation(row: Mapping[str, Any], where: str) -> Annotation:
    text, more = (_inside(row, name, where) for name in ("text", "extra_info"))
    vid = name_of(row, "vid", where)
    given = str(row.get("video_file") or PLACEHOLDER)
    reference = Reference(events=texts_of(more, "events", where), caption=text_of(text, "response", where))
    return Annotation(vid, vid if given == PLACEHOLDER else given, reference, groups=_groups(row, more))


def _inside(row: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    found = row.get(name)
    if not isinstance(found, dict):
        raise SampleError(f"{where}: {name} is {str(found)[:40]!r}, where an object is due: is this DREAM-1k.jsonl?")
    return found


def _groups(row: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, str]:
    found = {"source": str(row.get("dataset", "")).removeprefix("DREAM/")}
    for kind, buckets in BUCKETS.items():
        number = more.get(f"n_{kind}")
        if isinstance(number, int):
            found[kind] = next((name for most, name in buckets if number <= most), BEYOND[kind])
    return {kind: name for kind, name in found.items() if name}
