"""Suites by name: generated clips, and benchmarks on disk."""

from collections.abc import Sequence

from magicvl.bench.video import clips_suite
from magicvl.bench.video.public_suite import BENCHMARKS, Videos, public_suite
from magicvl.bench.video.suite import VideoSuite
from magicvl.edge.video.film import Note
from magicvl.errors import UsageError

ENDINGS = (".json", ".jsonl")
"""Of files of public benchmarks."""


def make_suites(names: Sequence[str], films: int | None, videos: Videos, note: Note) -> list[VideoSuite]:
    """The suites of these names, generated clips where there are none; `films` is how many of each.

    Raises UsageError, SampleError.
    """
    if films is not None and films < 1:
        raise UsageError(f"{films} films: it must be at least 1")
    wanted = list(names) or [clips_suite.NAME]
    for name in wanted:
        if wanted.count(name) > 1:
            raise UsageError(f"suite {name}: given twice")
    if videos.folder is not None and not any(name.endswith(ENDINGS) for name in wanted):
        raise UsageError("--videos has no effect: no public benchmark is among the suites")
    if videos.skip_missing and videos.folder is None:
        raise UsageError("--skip-missing has no effect without --videos")
    made = [_make(name, films, videos, note) for name in wanted]
    for suite in made:
        if sum(suite.name == other.name for other in made) > 1:
            raise UsageError(f"two suites are called {suite.name}: give one of the files another name")
    return made


def _make(name: str, films: int | None, videos: Videos, note: Note) -> VideoSuite:
    if name.endswith(ENDINGS):
        return public_suite(name, films, videos, note)
    suite = clips_suite.clips_suite(name, films)
    if suite is None:
        raise UsageError(
            f"suite {name!r}: there are {clips_suite.NAME} ([SPLIT:]{clips_suite.NAME}[/STYLE][@SEED]), and files of "
            f"{', '.join(BENCHMARKS)} that end in {' or '.join(ENDINGS)}"
        )
    return suite
