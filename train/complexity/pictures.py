"""The image terms of a sample: entropy, and what stands on how many px."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from magicvl.edge.pixels import open_picture
from magicvl.train.complexity.terms import grey_entropy, mean
from magicvl.train.samples.sample import Sample

Count = Callable[[str], int]
"""How many tokens a text is."""
Read = Callable[[Image.Image], str]
"""The words printed in a picture."""


@dataclass(frozen=True)
class Seen:
    """The image terms of one sample, see `Terms`; all None without pictures."""

    entropy: float | None
    text_density: float | None
    object_density: float | None


def see(sample: Sample, count: Count, read: Read | None = None) -> Seen:
    """The terms, densities over all pictures of the sample together.

    Text and objects are the truth of the sample's boxes. Where it has none, `read` gives the text, and the objects are
    not known. Raises PictureError for a picture that cannot be read.
    """
    if not sample.pictures:
        return Seen(None, None, None)
    opened = [open_picture(picture) for picture in sample.pictures]
    area = sum(picture.width * picture.height for picture in opened)
    entropy = mean([grey_entropy(picture) for picture in opened])
    texts = _texts(sample, opened, read)
    tokens = None if texts is None else sum(count(text) for text in texts)
    objects = None if sample.boxes is None else sum(box.kind == "object" for box in sample.boxes)
    return Seen(entropy, None if tokens is None else tokens / area, None if objects is None else objects / area)


def _texts(sample: Sample, opened: Sequence[Image.Image], read: Read | None) -> list[str] | None:
    if sample.boxes is not None:
        return [box.label for box in sample.boxes if box.kind == "text"]
    return None if read is None else [read(picture) for picture in opened]
