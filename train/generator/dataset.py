"""A generated dataset: pictures drawn from a seed, with what is said about them, all of one kind and category.

Complexity is a property of a dataset (arXiv 2508.01540), so what is simple and what is dense are datasets of their own.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image

from magicvl.train.samples.sample import Box, Category, Sample, Turn

Split = Literal["train", "validation", "test", "style"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Seeds, fonts, words and objects of `validation` and `test` are never trained on; `style` draws from the object set
that is kept apart, of which nothing is trained on."""


@dataclass(frozen=True)
class Drawn:
    """What one draw gives."""

    pictures: tuple[Image.Image, ...]
    """RGB; none for text alone."""
    turns: tuple[Turn, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Dataset:
    """A kind of pictures and talk."""

    name: str
    """Such as `receipt` or `count/stamps`; unique."""
    category: Category
    draw: Callable[[random.Random, Split], Drawn]
    """A function of the random state and the split alone."""

    def sample(self, seed: int, index: int, split: Split = "train") -> Sample:
        """The sample of that number: the same on every machine, whoever else draws."""
        drawn = self.draw(random.Random(f"{split} {seed} {self.name} {index}"), split)
        identity = f"{self.name}/{split}/{seed}/{index}"
        return Sample(identity, self.category, f"generated/{self.name}", drawn.pictures, drawn.turns, drawn.boxes)
