"""A paragraph of two to eight lines: all of it, one line, its first and last word."""

import random

from magicvl.train.generator.asking import ask, in_words, ordinal, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot, shoot
from magicvl.train.generator.faces import PLAIN, pick_face
from magicvl.train.generator.ocr.single import plain_ground
from magicvl.train.generator.page import Page, wrap
from magicvl.train.generator.themes import ink_on
from magicvl.train.generator.words import sentence
from magicvl.train.samples.sample import Turn

_ALL = ("Read the text.", "What does the text say?", "Transcribe the paragraph.", "Write down all of the text.")
_LINE = ("Read line {n}.", "What does line {n} say?", "Write down the {nth} line.", "What is on the {nth} line?")
_FIRST = ("What is the first word?", "Which word does the text begin with?")
_LAST = ("What is the last word?", "Which word does the text end with?")
_COUNT = ("How many lines of text are there?", "Count the lines of text.")


def _shot(rng: random.Random, split: Split) -> Shot:
    text = " ".join(sentence(rng, split) for _ in range(rng.randint(1, 4)))
    font = pick_face(rng, split, (*PLAIN, "hand")).at(rng.triangular(14, 26, 16))
    lines = wrap(text, font, font.size * rng.uniform(9, 24))[:8]
    step = round(font.height * rng.uniform(1.0, 1.3))
    margin = rng.randint(6, 28)
    width = max(64, round(max(font.width(line) for line in lines)) + 2 * margin)
    ground = plain_ground(rng)
    page = Page(width, step * len(lines) + 2 * margin, ground)
    ink, centred = ink_on(rng, ground), rng.random() < 0.2
    for number, line in enumerate(lines):
        x = (width - font.width(line)) / 2 if centred else margin
        page.write(x, margin + number * step, line, font, ink)
    return shoot(rng, page)


def _turns(rng: random.Random, lines: list[str]) -> tuple[Turn, ...]:
    number = rng.randrange(len(lines))
    words = " ".join(lines).split()
    return (
        ask(rng, _ALL, " ".join(lines), "cer", "paragraph"),
        ask(rng, _LINE, lines[number], "cer", "line of many", n=number + 1, nth=ordinal(number + 1)),
        ask(rng, _FIRST, _bare(words[0]), task="first word"),
        ask(rng, _LAST, _bare(words[-1]), task="last word"),
        ask(rng, _COUNT, len(lines), task="count lines", others=[in_words(len(lines))]),
    )


def _bare(word: str) -> str:
    return word.strip(".,?!")


def _draw(rng: random.Random, split: Split) -> Drawn:
    shot = _shot(rng, split)
    turns = some(rng, _turns(rng, [box.label for box in shot.boxes]), 3)
    return Drawn((shot.picture,), turns, shot.boxes)


def _draw_places(rng: random.Random, split: Split) -> Drawn:
    """Where a line is, named by its place or by what it says."""
    shot = _shot(rng, split)
    number = rng.randrange(len(shot.boxes))
    box, size = shot.boxes[number], shot.size
    by_place = where(rng, f"the {ordinal(number + 1)} line of text", box, size, "line")
    by_text = where(rng, f'the line "{box.label}"', box, size, "line")
    return Drawn((shot.picture,), some(rng, (by_place, by_text), 2), shot.boxes)


DATASETS = (Dataset("paragraph", "ocr", _draw), Dataset("where/line", "grounding", _draw_places))
