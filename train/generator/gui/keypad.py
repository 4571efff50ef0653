"""A keypad: what was typed, where a key is, which key lies beside another."""

import random
from dataclasses import dataclass
from typing import Any

from magicvl.train.generator.asking import ask, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import Look, blank, common_turns, found, pick_look, screenshot, status_bar
from magicvl.train.generator.names import telephone
from magicvl.train.generator.page import Page
from magicvl.train.samples.sample import Turn

_TYPED = {
    "phone": ("Which number was typed?", "What number is entered?", "Read the number above the keys."),
    "calculator": ("What does the calculator show?", "What is typed into the calculator?", "Read the display."),
    "code": ("Which code was typed?", "What code is entered?", "Read the code above the keys."),
}  # fmt: skip
_BESIDE = {
    "right of": (0, 1),
    "left of": (0, -1),
    "below": (1, 0),
    "above": (-1, 0),
}
_NEIGHBOUR = ("Which key is directly {side} the key {key}?", "Which key lies directly {side} {key}?")
_KIND = ("Is this a calculator or a phone keypad?", "What is it: a calculator or a phone keypad?")
_KEYS = {
    "phone": ("123", "456", "789", "*0#"),
    "calculator": ("789/", "456x", "123-", "0.=+"),
    "code": ("123", "456", "789", "C0<"),
}


@dataclass(frozen=True)
class Keypad:
    """What is typed, and rows of keys."""

    kind: str
    typed: str
    keys: tuple[str, ...]


def _keypad(rng: random.Random) -> Keypad:
    kind = rng.choice(list(_KEYS))
    typed = {
        "phone": telephone(rng),
        "calculator": f"{rng.randint(1, 9999)}{rng.choice('+-x/')}{rng.randint(1, 999)}",
        "code": "".join(rng.choices("0123456789", k=rng.randint(3, 8))),
    }
    return Keypad(kind, typed[kind], _KEYS[kind])


def _print(rng: random.Random, look: Look, what: Keypad) -> Page:
    rows, columns = len(what.keys), len(what.keys[0])
    height, margin, gap = look.px(rng.uniform(42, 62)), look.px(rng.uniform(6, 24)), look.px(rng.uniform(2, 10))
    page = blank(look, round(look.px(96) + rows * (height + gap) + margin))
    top = status_bar(page, look)
    page.write(look.width / 2, top + look.px(36), what.typed, look.font(26), look.theme.ink, "mm")
    top += look.px(70)
    across = (look.width - 2 * margin + gap) / columns
    plain = rng.random() < 0.3
    for row, keys in enumerate(what.keys):
        for column, key in enumerate(keys):
            x, y = margin + column * across, top + row * (height + gap)
            rect = (x, y, x + across - gap, y + height)
            if not plain:
                page.bar(rect, look.theme.surface, look.px(look.rounded), look.theme.line)
            page.write((rect[0] + rect[2]) / 2, y + height / 2, key, look.font(22), look.theme.ink, "mm")
            page.mark(f"key {key}", rect)
    return page


def _turns(rng: random.Random, what: Keypad, shot: Shot) -> list[Turn]:
    key = rng.choice("0123456789")
    turns = [
        ask(rng, _TYPED[what.kind], what.typed, task="typed"),
        where(rng, f'the key "{key}"', found(shot, f"key {key}"), shot.size, "key"),
        _neighbour(rng, what),
    ]
    if what.kind != "code":
        turns.append(ask(rng, _KIND, "calculator" if what.kind == "calculator" else "phone keypad", task="kind"))
    return turns


def _neighbour(rng: random.Random, what: Keypad) -> Turn:
    """The keys are a rectangle, so that every key has neighbours inside it."""
    side, (down, right) = rng.choice(list(_BESIDE.items()))
    rows, columns = len(what.keys), len(what.keys[0])
    row = rng.randrange(max(0, -down), rows - max(0, down))
    column = rng.randrange(max(0, -right), columns - max(0, right))
    names: dict[str, Any] = {"side": side, "key": what.keys[row][column]}
    return ask(rng, _NEIGHBOUR, what.keys[row + down][column + right], task="neighbour", **names)


def _draw(rng: random.Random, split: Split) -> Drawn:
    look, what = pick_look(rng, split), _keypad(rng)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 3), shot.boxes)


DATASETS = (Dataset("screen/keypad", "gui", _draw),)
