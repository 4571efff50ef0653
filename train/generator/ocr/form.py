"""A form: labels, values in fields, boxes that are ticked or not."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, some, where, yes
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot, shoot
from magicvl.train.generator.faces import Face, mate, pick_face
from magicvl.train.generator.locales import LOCALES
from magicvl.train.generator.names import email, person, street, telephone, town
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import Theme, pick_theme
from magicvl.train.generator.words import several, word
from magicvl.train.samples.sample import Turn

_VALUE = ('What is written in the field "{label}"?', 'What is the value of "{label}"?', "{label}: what does it say?")
_EMPTY = ("Which field is empty?", "Which field was left blank?")
_TICKED = ('Is the box "{label}" ticked? Answer yes or no.', 'Is there a tick at "{label}"? Answer yes or no.')
_TITLE = ("What is the title of the form?", "What kind of form is it? Read the title.")


@dataclass(frozen=True)
class Form:
    """What a form says."""

    title: str
    fields: tuple[tuple[str, str], ...]
    """Label and value, at most one of them empty."""
    ticks: tuple[tuple[str, bool], ...]


def _form(rng: random.Random, split: Split, fewest: int, most: int) -> Form:
    first, last = person(rng, split)
    locale = rng.choice(LOCALES)
    values = {
        "First name": first,
        "Last name": last,
        "Street": street(rng, split),
        "Town": town(rng, split),
        "Phone": telephone(rng),
        "E-mail": email(rng, first, last, split),
        "Date of birth": locale.date(rng),
        "Customer number": str(rng.randrange(10**4, 10**8)),
        "Profession": word(rng, split, "noun").capitalize(),
        "Height": f"{rng.randint(140, 205)} cm",
        "Password hint": " ".join(several(rng, split, 2)),
        "Amount": locale.money(rng.randrange(100, 10**6)),
        "Arrival": locale.time(rng),
        "Seat": f"{rng.randint(1, 60)}{rng.choice('ABCDEF')}",
    }
    labels = rng.sample(list(values), rng.randint(fewest, most))
    empty = rng.choice(labels) if rng.random() < 0.3 else None
    options = [one.capitalize() for one in several(rng, split, rng.randint(0, 3))]
    title = f"{' '.join(several(rng, split, 1)).capitalize()} {rng.choice(('form', 'application', 'request', 'order'))}"
    fields = tuple((label, "" if label == empty else values[label]) for label in labels)
    return Form(title, fields, tuple((option, rng.random() < 0.5) for option in options))


def _print(rng: random.Random, split: Split, form: Form) -> Page:
    """Labels beside or above their fields, values in another hand."""
    theme, size = pick_theme(rng, 0.15), rng.choice((13, 14, 15, 16))
    face, hand = pick_face(rng, split, ("sans", "serif"), bold=False), pick_face(rng, split, ("sans", "mono", "hand"))
    font, filled = face.at(size), hand.at(size + rng.choice((0, 2, 4)))
    above, margin = rng.random() < 0.35, rng.randint(12, 30)
    labels = 0.0 if above else max(font.width(label) for label, _ in form.fields) + size
    widest = max(filled.width(value or "x") for _, value in form.fields)
    across = max(widest * rng.uniform(1.05, 1.4) + 16, 90)
    height = round(size * (4.1 if above else 2.6))
    title = mate(face, bold=True).at(size * 1.5)
    head = 3 * size
    width = max(margin * 2 + labels + across, title.width(form.title) + 2 * margin)
    body = height * len(form.fields) + 2.2 * size * len(form.ticks)
    page = Page(round(width), round(2 * margin + head + body), theme.ground)
    page.write(margin, margin, form.title, title, theme.ink)
    # Labels that end at their fields are kept for testing.
    flush = split != "train" and not above and rng.random() < 0.5
    for number, (label, value) in enumerate(form.fields):
        y = margin + head + number * height
        x, anchor = (margin + labels - 0.5 * size, "ra") if flush else (margin, "la")
        page.write(x, y + (0 if above else size * 0.45), label, font, theme.muted, anchor)
        top = y + (1.5 * size if above else 0)
        page.bar((margin + labels, top, margin + labels + across, top + 2 * size), theme.surface, 3, theme.line)
        page.mark(f"field {label}", (margin + labels, top, margin + labels + across, top + 2 * size))
        if value:
            page.write(margin + labels + 6, top + size, value, filled, theme.ink, "lm")
    _print_ticks(page, form, theme, face, size, margin, margin + head + len(form.fields) * height)
    return page


def _print_ticks(page: Page, form: Form, theme: Theme, face: Face, size: int, left: int, top: float) -> None:
    for number, (option, ticked) in enumerate(form.ticks):
        y = top + number * 2.2 * size
        box = (left, y, left + 1.2 * size, y + 1.2 * size)
        page.bar(box, theme.surface, 0, theme.ink)
        page.mark(f"box {option}", box)
        if ticked:
            points = [(left + share * size, y + down * size) for share, down in ((0.2, 0.6), (0.5, 0.95), (1.0, 0.2))]
            page.pen.line(points, fill=theme.ink, width=max(2, size // 6))
        page.write(left + 1.8 * size, y + 0.6 * size, option, face.at(size), theme.ink, "lm")


def _turns(rng: random.Random, form: Form, shot: Shot) -> list[Turn]:
    turns = [ask(rng, _TITLE, form.title, "anls", "title")]
    turns += [ask(rng, _VALUE, value, "anls", "field", label=label) for label, value in form.fields if value]
    turns += [ask(rng, _EMPTY, label, "anls", "empty field") for label, value in form.fields if not value]
    turns += [ask(rng, _TICKED, yes(ticked), task="ticked", label=option) for option, ticked in form.ticks]
    label = rng.choice(form.fields)[0]
    box = next(box for box in shot.boxes if box.label == f"field {label}")
    return [*turns, where(rng, f'the field "{label}"', box, shot.size, "field")]


def _draw(rng: random.Random, split: Split, fewest: int, most: int) -> Drawn:
    form = _form(rng, split, fewest, most)
    shot = shoot(rng, _print(rng, split, form))
    return Drawn((shot.picture,), some(rng, _turns(rng, form, shot), 4), shot.boxes)


DATASETS = (
    Dataset("form", "ocr", partial(_draw, fewest=2, most=4)),
    Dataset("form/long", "ocr", partial(_draw, fewest=7, most=12)),
)
