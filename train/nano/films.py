"""Micro-batches of films: the frames, what is asked of a film, and its whole description as the answer.

The decoder alone can compare frames, and a LoRA on it learned that hardly at all (LOG.md): so the model itself sees
films beside pictures, and what every actor does in every frame is a dense target as in train/video/motions.py.
"""

from collections.abc import Sequence

import torch

from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.nano.batches import IGNORED, PICTURE_SEGMENT, Batch, attention, padded
from magicvl.train.video.films import Film, Films
from magicvl.train.video.motions import MotionTargets, as_targets
from magicvl.train.video.settings import Clips, Style
from magicvl.train.video.visual_ids import FIRST

STYLES = (Style("shapes/simple"), Style("shapes/mixed"))
FRAMES = (6, 8)


def films_of(seed: int, processor: MagicVLProcessor) -> Films:
    """All films of a run, by number: of one to four actors, six to eight frames."""
    return Films(Clips(count=1 << 30, seed=seed, styles=STYLES, frames=FRAMES), processor)


def film_batch(films: Films, numbers: Sequence[int]) -> Batch:
    """The films of these numbers, a row each; as `collate` has pictures, with one question a row."""
    processor, rows = films.processor, [films[number] for number in numbers]
    ids = [[processor.image_token_id if token >= FIRST else token for token in row.prompt] + row.answer for row in rows]
    begins = [len(row.prompt) for row in rows]
    labels = [
        [IGNORED] * (begin - 1) + row.answer + [IGNORED] for begin, row in zip(begins, rows, strict=True)
    ]  # fmt: skip
    segments = [[PICTURE_SEGMENT] * begin + [1] * len(row.answer) for begin, row in zip(begins, rows, strict=True)]
    filled = padded(segments, -1)
    looked = [films.patches(number) for number in numbers]
    return Batch(
        input_ids=padded(ids, processor.tokenizer.pad_token_id),
        positions=torch.arange(filled.shape[1]).expand(len(rows), -1),
        mask=attention(filled),
        labels=padded(labels, IGNORED),
        segments=filled,
        pixel_values=_joined([each["pixel_values"] for each in looked]),
        spatial_shapes=torch.cat([each["spatial_shapes"] for each in looked]),
        dense=None,
        samples=(),
        motions=_motions(rows),
    )


def _motions(rows: Sequence[Film]) -> MotionTargets:
    """Of all rows, by their place among the visual tokens of the batch."""
    each, first = [], 0
    for row in rows:
        each += [(first + motion.token, motion) for motion in row.motions]
        first += sum(token >= FIRST for token in row.prompt)
    return as_targets(each)


def _joined(values: Sequence[torch.Tensor]) -> torch.Tensor:
    """(tiles, patches, n) of films, padded to the most patches."""
    most = max(each.shape[1] for each in values)
    return torch.cat([torch.nn.functional.pad(each, (0, 0, 0, most - each.shape[1])) for each in values])
