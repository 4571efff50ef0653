"""The data of a run: which micro-batch is what."""

import random

import torch

from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.nano.batches import Batch, collate, draw_grid, draw_sample
from magicvl.train.nano.config import TrainConfig

_SHORT = 8
"""Tokens of a short question and its answer."""


class MicroBatches(torch.utils.data.Dataset[Batch]):
    """The micro-batches of a run by their number; each is a function of the seed and the number alone."""

    def __init__(self, config: TrainConfig, processor: MagicVLProcessor) -> None:
        self.config = config
        self.processor = processor

    def __len__(self) -> int:
        return self.config.steps * self.config.micro_batches

    def __getitem__(self, index: int) -> Batch:
        rng = random.Random(f"{self.config.seed} {index}")
        step = index // self.config.micro_batches
        stage = [stage for stage in self.config.stages if stage.start <= step][-1]
        across, down = draw_grid(rng, stage)
        count = max(1, min(stage.pictures, self.config.visual_tokens // (across * down)))
        room = stage.room(count)
        # More than fit, as a long question leaves room for a short one.
        questions = max(10, room // _SHORT) if room else 0
        samples = [
            draw_sample(
                f"{self.config.seed} {index} {i}", across, down, questions, stage.content, weights=stage.weights
            )
            for i in range(count)
        ]
        return collate(samples, self.processor, room)
