"""One line: a sentence, or some words."""

import random

from magicvl.train.generator.asking import ask
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.ocr.single import single
from magicvl.train.generator.words import cased, made_up, sentence, several

READ = (
    "Read the line.",
    "What is written here?",
    "What does it say?",
    "Write down the text in the picture.",
    "Transcribe the text.",
)


def _text(rng: random.Random, split: Split) -> str:
    kind = rng.random()
    if kind < 0.5:
        return sentence(rng, split)
    if kind < 0.85:
        return cased(rng, " ".join(several(rng, split, rng.randint(2, 5), None)))
    return " ".join(made_up(rng, split) for _ in range(rng.randint(2, 4)))


def _draw(rng: random.Random, split: Split) -> Drawn:
    text = _text(rng, split)
    shot = single(rng, split, text, largest=30)
    return Drawn((shot.picture,), (ask(rng, READ, text, "cer", "line"),), shot.boxes)


DATASETS = (Dataset("line", "ocr", _draw),)
