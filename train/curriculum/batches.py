"""The rows of each step: which samples it takes, and how they come from worker processes.

Step s takes the samples s * B to (s + 1) * B - 1; device d of D takes every D-th of them and packs its own share. So
data depend on neither workers nor devices, and a run goes on at any step.
"""

from collections import Counter
from dataclasses import dataclass, replace

import torch

from magicvl.errors import PictureError, SampleError
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.packing import Prepared, Row, collate, pack, prepare
from magicvl.train.curriculum.stage import Stage


@dataclass(frozen=True)
class Batch:
    """What one device takes of one step."""

    rows: tuple[Row, ...]
    left_out: dict[str, int]
    """Samples that could not be used, by reason."""


@dataclass(frozen=True)
class Share:
    """Which device this is, of how many."""

    device: int = 0
    devices: int = 1


class Batches(torch.utils.data.Dataset[Batch]):
    """The batches of a stage by their step."""

    def __init__(self, mixture: Mixture, processor: MagicVLProcessor, stage: Stage, share: Share) -> None:
        self._mixture, self._processor, self._stage, self._share = mixture, processor, stage, share

    def __len__(self) -> int:
        return self._stage.steps

    def __getitem__(self, step: int) -> Batch:
        numbers = range(step * self._stage.samples, (step + 1) * self._stage.samples)
        return self.batch(numbers[self._share.device :: self._share.devices])

    def batch(self, numbers: range) -> Batch:
        """The samples of these numbers, packed."""
        left_out: Counter[str] = Counter()
        kept = []
        for number in numbers:
            each = self._prepared(number, left_out)
            if each is not None:
                kept.append(each)
        return Batch(tuple(rows_of(kept, self._processor, self._stage)), dict(left_out))

    def _prepared(self, number: int, left_out: Counter[str]) -> Prepared | None:
        """The sample, or why it is left out: one that is damaged must not end a run of days."""
        try:
            made = prepare(self._mixture.sample(number), self._processor, self._stage)
        except (SampleError, PictureError):
            left_out["cannot be read"] += 1
            return None
        if not made.conversation.ids:
            left_out["no pictures, where only pictures are looked at"] += 1
            return None
        tokens, pictures = made.size
        if tokens > self._stage.row_tokens or pictures > self._stage.row_pictures:
            left_out[f"more than {self._stage.row_tokens} tokens or {self._stage.row_pictures} pictures"] += 1
            return None
        return made


def rows_of(prepared: list[Prepared], processor: MagicVLProcessor, stage: Stage) -> list[Row]:
    """The rows that these samples fill."""
    raster = stage.pictures is not None and stage.pictures.order == "raster"
    packed = pack(prepared, stage.row_tokens, stage.row_pictures)
    return [collate(members, processor, raster=raster) for members in packed]


def held_out(stage: Stage, processor: MagicVLProcessor, share: Share) -> list[Row]:
    """This device's share of the samples that the stage is measured on."""
    named = replace(stage, data=stage.held_out or stage.data)
    batches = Batches(Mixture(named, "validation"), processor, stage, share)
    return list(batches.batch(range(stage.evaluate_samples)[share.device :: share.devices]).rows)
