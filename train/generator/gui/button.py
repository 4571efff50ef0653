"""One to three buttons: what they say, and where they are."""

import random

from magicvl.train.generator.asking import ask, listed, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import Look, blank, button, found, pick_look, screenshot
from magicvl.train.generator.names import apps
from magicvl.train.generator.page import Page

_LABEL = ("What does the button say?", "Read the button.", "What is written on the button?")
_LABELS = ("Which buttons are there?", "What do the buttons say, from top to bottom?", "List the buttons.")
_COUNT = ("How many buttons are there?", "Count the buttons.")
_FILLED = ("Which button is highlighted?", "Which button has a colour of its own?")


def _print(rng: random.Random, look: Look, labels: tuple[str, ...], filled: int) -> Page:
    """The buttons one below the other."""
    font, top = look.bold(14), look.px(rng.uniform(8, 40))
    height, gap = look.px(rng.uniform(28, 44)), look.px(rng.uniform(8, 24))
    page = blank(look, round(2 * top + len(labels) * (height + gap) - gap))
    for number, label in enumerate(labels):
        across = min(look.width - 16, font.width(label) + look.px(rng.uniform(24, 120)))
        left, y = rng.uniform(8, look.width - 8 - across), top + number * (height + gap)
        button(page, look, (left, y, left + across, y + height), label, number == filled)
    return page


def _shot(rng: random.Random, split: Split) -> tuple[tuple[str, ...], int, Shot]:
    look = pick_look(rng, split)
    labels = apps(rng, split, rng.randint(1, 3))
    filled = rng.randrange(len(labels))
    return labels, filled, screenshot(rng, _print(rng, look, labels, filled))


def _draw(rng: random.Random, split: Split) -> Drawn:
    labels, filled, shot = _shot(rng, split)
    if len(labels) == 1:
        return Drawn((shot.picture,), (ask(rng, _LABEL, labels[0], task="button"),), shot.boxes)
    turns = (
        ask(rng, _LABELS, listed(labels), "anls", "buttons"),
        ask(rng, _COUNT, len(labels), task="count buttons"),
        ask(rng, _FILLED, labels[filled], task="highlighted"),
    )
    return Drawn((shot.picture,), some(rng, turns, 2), shot.boxes)


def _draw_places(rng: random.Random, split: Split) -> Drawn:
    labels, _, shot = _shot(rng, split)
    label = rng.choice(labels)
    turn = where(rng, f'the button "{label}"', found(shot, f"button {label}"), shot.size, "button")
    return Drawn((shot.picture,), (turn,), shot.boxes)


DATASETS = (Dataset("button", "gui", _draw), Dataset("where/button", "grounding", _draw_places))
