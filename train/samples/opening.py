"""Samples with their pictures opened, for those that train on them: one that can't be read may be passed over."""

from collections.abc import Iterator
from dataclasses import replace

from magicvl.edge.pixels import open_picture
from magicvl.errors import MagicVLError, PictureError, SampleError
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Stream

EXAMPLES = 20
"""Messages that are kept of what was passed over."""
HOPELESS = 1_000
"""Samples in a row that cannot be read: then something else is wrong."""


class Opened:
    """The samples of a stream, pictures as upright RGB; whoever counts on all of them leaves `skip` unset."""

    def __init__(self, stream: Stream, *, skip: bool = False, begin: int = 0) -> None:
        """`skip` passes over rows that are wrong and pictures that are missing or damaged, and counts them.

        `begin` is the number of the first sample.
        """
        self._stream = stream
        self._skip = skip
        self._begin = begin
        self.passed_over = 0
        """Samples that could not be read."""
        self.messages: list[str] = []
        """What was wrong with the first of them."""

    def __iter__(self) -> Iterator[Sample]:
        """Raises SampleError, PictureError; with `skip` only where a thousand in a row are bad, or all of them."""
        good = in_a_row = 0
        for attempt in self._stream.tries(self._begin):
            try:
                sample = _opened(attempt())
            except (SampleError, PictureError) as error:
                in_a_row += 1
                self._pass_over(error, in_a_row)
                continue
            good, in_a_row = good + 1, 0
            yield sample
        if self.passed_over and not good:
            raise SampleError(f"none of {self.passed_over:,} samples can be read; the first: {self.messages[0]}")

    def _pass_over(self, error: MagicVLError, in_a_row: int) -> None:
        if not self._skip:
            raise error
        self.passed_over += 1
        if len(self.messages) < EXAMPLES:
            self.messages.append(str(error))
        if in_a_row >= HOPELESS:
            raise SampleError(f"{in_a_row:,} samples in a row cannot be read; the last: {error}")


def _opened(sample: Sample) -> Sample:
    try:
        return open_pictures(sample)
    except PictureError as error:
        raise PictureError(f"sample {sample.id} of {sample.source}: {error}") from None


def open_pictures(sample: Sample) -> Sample:
    """The sample with its pictures as Pillow images. Raises PictureError."""
    return replace(sample, pictures=tuple(open_picture(picture) for picture in sample.pictures))
