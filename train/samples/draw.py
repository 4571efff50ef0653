"""Writes samples of any source into a folder, from where a run before left off."""

from collections.abc import Callable, Iterator
from pathlib import Path

from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Stream
from magicvl.train.samples.writer import Writer

Progress = Callable[[int], None]
"""Called with the number of samples that are written."""


def write_samples(
    stream: Stream, writer: Writer, count: int | None, progress: Progress, stopped: Callable[[], bool]
) -> Path | None:
    """Writes the first `count` samples of a stream, all of them where that is None.

    Returns what names them in a spec; None where it was `stopped` before. Raises SampleError, PictureError,
    MagicVLError; what was written by then is gone on with.
    """
    done = writer.count
    if count is not None and done > count:
        writer.cut(count)
    try:
        for sample in _rest(stream, done, count):
            writer.add(sample)
            done += 1
            progress(done)
            if stopped():
                return None
        return writer.finish()
    finally:
        writer.close()


def _rest(stream: Stream, begin: int, count: int | None) -> Iterator[Sample]:
    tries = stream.tries(begin)
    while count is None or begin < count:
        attempt = next(tries, None)
        if attempt is None:
            return
        yield attempt()
        begin += 1
