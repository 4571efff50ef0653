"""A sign: one to four words on a coloured board, often seen from the side."""

import random
from dataclasses import dataclass, replace

from magicvl.train.generator.asking import ask, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Camera, Shot, shoot
from magicvl.train.generator.faces import pick_face
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Rgb, mix, print_colour, shade
from magicvl.train.generator.words import several

_BOARDS: dict[str, Rgb] = {
    "red": (190, 28, 34),
    "blue": (24, 74, 168),
    "green": (20, 112, 58),
    "yellow": (248, 206, 34),
    "orange": (236, 122, 22),
    "white": (246, 246, 244),
    "black": (24, 24, 26),
    "brown": (110, 68, 36),
    "purple": (104, 44, 140),
}
_USUAL = (
    "No Entry|Exit|Way Out|Stop|Open|Closed|Push|Pull|Danger|Private|Wet Paint|Keep Left|Slow|Parking|No Dogs".split(
        "|"
    )
)
_SAYS = ("What does the sign say?", "Read the sign.", "What is written on the sign?")
_COLOUR = ("What colour is the sign?", "Which colour does the sign have?")
_COUNT = ("How many words are on the sign?", "How many words does the sign have?")
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")
_STREET = Camera(photograph=0.6, light=0.4, blur=0.1, noise=0.3, jpeg=0.12)


@dataclass(frozen=True)
class _Sign:
    words: tuple[str, ...]
    colour: str

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _sign(rng: random.Random, split: Split) -> _Sign:
    if rng.random() < 0.1 and split == "train":
        words = tuple(rng.choice(_USUAL).split())
    else:
        words = tuple(one.capitalize() for one in several(rng, split, rng.randint(1, 4), None))
    if rng.random() < 0.5:
        words = tuple(one.upper() for one in words)
    return _Sign(words, rng.choice(list(_BOARDS)))


def _print(rng: random.Random, split: Split, sign: _Sign, wall: Rgb) -> Page:
    font = pick_face(rng, split, ("sans", "sans", "serif", "display"), bold=True).at(rng.uniform(16, 44))
    rows = _rows(rng, sign.words)
    step, pad = round(font.height * 1.05), rng.randint(10, 26)
    width = round(max(font.width(row) for row in rows)) + 2 * pad
    height = step * len(rows) + round(1.4 * pad)
    frame, board = rng.randint(8, 40), _BOARDS[sign.colour]
    ink = print_colour(board)
    page = Page(max(64, width + 2 * frame), height + 2 * frame, wall)
    left, top = (page.size[0] - width) / 2, frame
    page.bar((left, top, left + width, top + height), board, rng.choice((0, 4, pad)))
    if rng.random() < 0.5:
        page.bar((left + 4, top + 4, left + width - 4, top + height - 4), board, rng.choice((0, 4)), ink)
    for number, row in enumerate(rows):
        page.write(page.size[0] / 2, top + 0.7 * pad + number * step, row, font, ink, "ma")
    page.mark(f"{sign.colour} sign", (left, top, left + width, top + height))
    return page


def _rows(rng: random.Random, words: tuple[str, ...]) -> list[str]:
    """The words in rows, in their order."""
    rows = [words[0]]
    for one in words[1:]:
        if rng.random() < 0.5:
            rows.append(one)
        else:
            rows[-1] += f" {one}"
    return rows


def _wall(rng: random.Random, board: Rgb) -> Rgb:
    """A dull colour that the board stands out from."""
    dull = shade(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.3, 0.8))
    return mix(dull, print_colour(board), 0.35)


def _shot(rng: random.Random, split: Split) -> tuple[_Sign, Shot]:
    sign = _sign(rng, split)
    wall = _wall(rng, _BOARDS[sign.colour])
    return sign, shoot(rng, _print(rng, split, sign, wall), replace(_STREET, ground=wall))


def _draw(rng: random.Random, split: Split) -> Drawn:
    sign, shot = _shot(rng, split)
    turns = (
        ask(rng, _SAYS, sign.text, "anls", "sign"),
        ask(rng, _SAYS, sign.text, "anls", "sign"),
        ask(rng, _COLOUR, sign.colour, task="colour"),
        ask(rng, _COUNT, len(sign.words), task="count words"),
        where(rng, "the sign", shot.boxes[-1], shot.size, "sign"),
    )
    return Drawn((shot.picture,), (rng.choice(turns),), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    sign, shot = _shot(rng, split)
    article = "An" if sign.colour[0] in "aeiou" else "A"
    turn = ask(rng, _DESCRIBE, f'{article} {sign.colour} sign that says "{sign.text}".', "f1", "caption")
    return Drawn((shot.picture,), (turn,), shot.boxes)


DATASETS = (Dataset("sign", "ocr", _draw), Dataset("caption/sign", "caption", _caption))
