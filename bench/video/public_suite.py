"""The public benchmarks as suites: a file of annotations, and a folder of videos."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from magicvl.bench.video.annotation import Annotation
from magicvl.bench.video.answers_part import AnswersPart
from magicvl.bench.video.carebench import read_carebench
from magicvl.bench.video.dream import read_dream
from magicvl.bench.video.form_part import FormPart
from magicvl.bench.video.item import VideoItem
from magicvl.bench.video.measures import (
    ACTION_LINES,
    ACTIONS,
    ANSWER_LINES,
    EVENT_LINES,
    EVENTS,
    FORM_LINES,
    OBJECT_LINES,
    Measure,
)
from magicvl.bench.video.objects_part import ObjectsPart
from magicvl.bench.video.part import Part
from magicvl.bench.video.suite import VideoSuite
from magicvl.bench.video.told_part import ToldPart
from magicvl.bench.video.tools import Tools, events_judged
from magicvl.bench.video.vdc import read_vdc
from magicvl.bench.video.video_files import find_videos, missing_message
from magicvl.edge.known_hashes import known_sha256
from magicvl.edge.video.film import Note
from magicvl.edge.video.open_film import open_film
from magicvl.errors import UsageError
from magicvl.train.rewards.reference import Reference


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark's file is read and its films are scored."""

    read: Callable[[Path], list[Annotation]]
    parts: Callable[[Tools], tuple[Part, ...]]
    measures: tuple[Measure, ...]
    judged: Callable[[Tools], str]
    """What says what is right, for the notes."""


BENCHMARKS = {
    "dream": Benchmark(
        read_dream,
        lambda tools: (ToldPart("event", EVENTS, tools.entailer, tools.extract), FormPart()),
        EVENT_LINES,
        events_judged,
    ),
    "vdc": Benchmark(
        read_vdc,
        lambda tools: (AnswersPart(tools.answerer), FormPart()),
        ANSWER_LINES,
        lambda tools: f"answers marked by {tools.answerer.name}",
    ),
    "carebench": Benchmark(
        read_carebench,
        lambda tools: (
            ToldPart("action", ACTIONS, tools.entailer, tools.extract),
            ObjectsPart(tools.objects),
            FormPart(),
        ),
        (*ACTION_LINES, *OBJECT_LINES),
        lambda tools: f"{events_judged(tools)}; objects by {tools.objects.name}",
    ),
}


@dataclass(frozen=True)
class Videos:
    """Where the user's videos are."""

    folder: Path | None
    skip_missing: bool
    """Whether films whose video is not there are left out; else they are an error."""


def public_suite(text: str, films: int | None, videos: Videos, note: Note) -> VideoSuite:
    """The suite of `FILE`, or of `NAME=FILE` where the file's name does not tell the benchmark.

    `films` is how many of the first are taken, None for all. Raises UsageError, SampleError before any is looked at.
    """
    name, _, path = text.rpartition("=")
    benchmark = BENCHMARKS[_benchmark(name or None, Path(path))]
    if videos.folder is None:
        raise UsageError(f"{path}: where are its videos? Say so with --videos DIR")
    annotations = benchmark.read(Path(path))[:films]
    _check_unique(annotations, path)
    items, notes = _items(annotations, videos.folder, videos.skip_missing, note)
    return VideoSuite(
        Path(path).stem if not name else f"{name} {Path(path).stem}",
        items,
        benchmark.parts,
        (*benchmark.measures, *FORM_LINES),
        benchmark.judged,
        tuple(notes),
    )


def _benchmark(name: str | None, path: Path) -> str:
    """The benchmark by name, or by the file's or its folders': CaReBench/json/metadata.json is carebench."""
    if name is not None:
        found = [each for each in BENCHMARKS if each == name.lower()]
    else:
        parts = [part.lower() for part in (path.stem, *reversed(path.parent.parts))]
        found = [each for part in parts for each in BENCHMARKS if re.match(rf"{each}(?![a-z])|{each}score", part)]
    if not found:
        raise UsageError(
            f"{name or path}: the rules of which benchmark? There are {', '.join(BENCHMARKS)}; write one before it, as "
            f"in dream={path.name}"
        )
    return found[0]


def _check_unique(annotations: Sequence[Annotation], path: str) -> None:
    seen = set[str]()
    for each in annotations:
        if each.id in seen:
            raise UsageError(f"{path}: film {each.id} stands twice")
        seen.add(each.id)


def _items(
    annotations: Sequence[Annotation], folder: Path, skip: bool, note: Note
) -> tuple[tuple[VideoItem, ...], list[str]]:
    """The films whose video is there. Raises UsageError with all that are not, unless they are left out."""
    paths = find_videos(folder, [each.video for each in annotations])
    missing = [each.video for each, path in zip(annotations, paths, strict=True) if path is None]
    there = [(each, path) for each, path in zip(annotations, paths, strict=True) if path is not None]
    message = missing_message(folder, missing, len(annotations))
    if missing and not (skip and there):
        raise UsageError(message if skip else f"{message}; --skip-missing leaves them out")
    items = tuple(_item(each, path, note) for each, path in there)
    return items, [f"{message}; they are left out, so the scores are not the benchmark's"] if missing else []


def _item(each: Annotation, path: Path, note: Note) -> VideoItem:
    return VideoItem(
        each.id,
        lambda: open_film(path, note=note),
        partial(_file_digest, path),
        partial(_same, each.reference),
        each.objects,
        each.pairs,
        each.groups,
    )


def _same(reference: Reference, _times: Sequence[float]) -> Reference:
    return reference


def _file_digest(path: Path) -> str:
    try:
        return known_sha256(path)
    except OSError as error:
        raise UsageError(f"{path}: it can't be read ({error.strerror})") from None
