"""One word, English or made up."""

import random

from magicvl.train.generator.asking import ask
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.ocr.single import single
from magicvl.train.generator.words import cased, made_up, word

_READ = (
    "What word is written here?",
    "Read the word.",
    "Which word is this?",
    "What does it say?",
    "What is printed in the picture?",
)


def _draw(rng: random.Random, split: Split) -> Drawn:
    text = cased(rng, word(rng, split) if rng.random() < 0.75 else made_up(rng, split))
    shot = single(rng, split, text)
    return Drawn((shot.picture,), (ask(rng, _READ, text, task="word"),), shot.boxes)


DATASETS = (Dataset("word", "ocr", _draw),)
