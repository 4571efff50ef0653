"""VDC (AuroraCap, arXiv 2410.03051): questions that a detailed caption answers. Its score is VDCscore.

    VDCScore_qa/KIND.jsonl    {"VIDEO_ID": [{"question": "...", "answer": "..."}, ...]}
    VDC_1k.jsonl              {"video_id": "VIDEO_ID", "video_name": "name.mp4", "short_caption": "...", ...}

KIND is camera, short, background, main_object or detailed: a suite each. The second file lies beside the folder of the
first; where it is missing a video is called by its id. Rows of lmms-eval's copy are read too:

    {"video_name": "name", "caption": "...", "qa_list": [{"question": "...", "answer": "..."}, ...]}

Seen of these files is how three public evaluations read them; the files themselves could not be looked at. The paper
asks for each kind with prompts of its own, here the model is asked as it was trained.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicvl.bench.video.annotation import Annotation, name_of, rows_of, text_of
from magicvl.bench.video.item import Pair
from magicvl.errors import SampleError

NAMES = "VDC_1k.jsonl"


def read_vdc(path: Path) -> list[Annotation]:
    """The films of a file of questions. Raises SampleError with the row's number."""
    names = _names(path)
    found: list[Annotation] = []
    for where, row in rows_of(path):
        if "qa_list" in row:
            video = name_of(row, "video_name", where)
            found.append(Annotation(video, video, pairs=_pairs(row["qa_list"], where)))
        else:
            found += [
                Annotation(video, names.get(video, video), pairs=_pairs(pairs, where)) for video, pairs in row.items()
            ]
    return found


def _names(path: Path) -> dict[str, str]:
    """Names of video files by id; none where the second file is missing."""
    for folder in (path.parent, path.parent.parent):
        if (beside := folder / NAMES).is_file() and beside != path:
            rows = rows_of(beside)
            return {name_of(row, "video_id", where): name_of(row, "video_name", where) for where, row in rows}
    return {}


def _pairs(found: object, where: str) -> tuple[Pair, ...]:
    if not isinstance(found, list) or not found or not all(isinstance(each, Mapping) for each in found):
        raise SampleError(f"{where}: {str(found)[:40]!r}, where a list of questions with their answers is due")
    return tuple(_pair(each, where) for each in found)


def _pair(row: Mapping[str, Any], where: str) -> Pair:
    return Pair(text_of(row, "question", where), text_of(row, "answer", where))
