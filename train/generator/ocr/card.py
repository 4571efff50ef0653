"""A business card or label: a name, what the person does, how to reach them."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Camera, Shot, shoot
from magicvl.train.generator.faces import mate, pick_face
from magicvl.train.generator.names import email, person, shop, street, telephone, town
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import pick_theme
from magicvl.train.generator.words import word
from magicvl.train.samples.sample import Turn

_ASKED: dict[str, tuple[str, ...]] = {
    "name": ("Whose card is it?", "What is the name of the person?", "Which person is named here?"),
    "work": ("What is written as the profession?", "What does the person do?"),
    "firm": ("Which company is it?", "What is the name of the company?"),
    "phone": ("What is the phone number?", "Which number should I call?", "Read the phone number."),
    "email": ("What is the e-mail address?", "Read the e-mail address."),
    "street": ("What is the street and house number?", "In which street is it? With the house number."),
    "town": ("In which town is it?", "What is the town?"),
}
_DESCRIBE = ("Describe the picture.", "What is this?", "Write a short caption.")
_IN_HAND = Camera(photograph=0.35, light=0.4, blur=0.08, noise=0.3, jpeg=0.12)
_JOBS = (
    "Teacher Baker Engineer Doctor Lawyer Painter Plumber Designer Gardener Driver Nurse Editor Manager Agent".split()
)


@dataclass(frozen=True)
class Card:
    """What a card says, by the name of the part; some are left out."""

    parts: dict[str, str]


def _card(rng: random.Random, split: Split) -> Card:
    first, last = person(rng, split)
    job = rng.choice(_JOBS)
    parts = {
        "firm": shop(rng, split),
        "name": f"{first} {last}",
        "work": job if rng.random() < 0.4 else f"{word(rng, split, 'noun').capitalize()} {job}",
        "phone": telephone(rng),
        "email": email(rng, first, last, split),
        "street": street(rng, split),
        "town": town(rng, split),
    }
    kept = {"name", *rng.sample(list(parts), rng.randint(2, len(parts)))}
    return Card({part: text for part, text in parts.items() if part in kept})


def _print(rng: random.Random, split: Split, card: Card) -> Page:
    theme, size = pick_theme(rng, 0.3), rng.choice((13, 14, 16, 18))
    face = pick_face(rng, split, ("sans", "serif"), bold=False)
    fonts = {part: face.at(size) for part in card.parts} | {"name": mate(face, bold=True).at(size * 1.5)}
    margin, step = rng.randint(14, 34), round(face.at(size).height * rng.uniform(1.1, 1.4))
    width = round(max(fonts[part].width(text) for part, text in card.parts.items()) * rng.uniform(1, 1.3))
    heights = {part: round(1.6 * step) if part == "name" else step for part in card.parts}
    page = Page(width + 2 * margin, sum(heights.values()) + 2 * margin, theme.ground)
    strip = rng.random() < 0.4
    if strip:
        page.bar((0, 0, margin / 2, page.size[1]), theme.accent)
    anchor = "la" if strip else rng.choice(("la", "la", "ma", "ra"))
    x = {"l": margin, "m": page.size[0] / 2, "r": page.size[0] - margin}[anchor[0]]
    y = margin
    for part, text in card.parts.items():
        page.write(x, y, text, fonts[part], theme.ink if part in ("name", "firm") else theme.muted, anchor)
        y += heights[part]
    return page


def _turns(rng: random.Random, card: Card, shot: Shot) -> list[Turn]:
    metrics = {"phone": "exact", "email": "exact"}
    turns = [
        ask(rng, _ASKED[part], text, "exact" if part in metrics else "anls", part) for part, text in card.parts.items()
    ]
    text = rng.choice(list(card.parts.values()))
    box = next(box for box in shot.boxes if box.label == text)
    return [*turns, where(rng, f'the text "{text}"', box, shot.size, "text")]


def _draw(rng: random.Random, split: Split) -> Drawn:
    card = _card(rng, split)
    shot = shoot(rng, _print(rng, split, card), _IN_HAND)
    return Drawn((shot.picture,), some(rng, _turns(rng, card, shot), 3), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    card = _card(rng, split)
    shot = shoot(rng, _print(rng, split, card), _IN_HAND)
    text = f"A card of {card.parts['name']}"
    text += f", {card.parts['work']}" if "work" in card.parts else ""
    text += f", at {card.parts['firm']}" if "firm" in card.parts else ""
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, f"{text}.", "f1", "caption"),), shot.boxes)


DATASETS = (Dataset("card", "ocr", _draw), Dataset("caption/card", "caption", _caption))
