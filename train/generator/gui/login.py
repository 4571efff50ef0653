"""A form on a screen: fields with names and values, what is missing, an error, a button."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask, some, where, yes
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import Look, blank, button, common_turns, found, pick_look, screenshot, status_bar
from magicvl.train.generator.names import apps, email, person, telephone
from magicvl.train.generator.page import Page
from magicvl.train.generator.themes import readable
from magicvl.train.samples.sample import Turn

_VALUE = ('What is typed into the field "{label}"?', 'What stands in the field "{label}"?')
_EMPTY = (
    'Is the field "{label}" empty? Answer yes or no.',
    'Is there nothing in the field "{label}"? Answer yes or no.',
)
_ERROR = ("Which error is shown?", "What does the error message say?", "What went wrong?")
_BUTTON = ("What does the button below the fields say?", "Read the button.")
_APP = ("Which program is this for?", "What is the heading?", "Which name stands at the top, below the status bar?")
_ERRORS = ("Wrong password", "Unknown user", "Please try again", "No connection", "Code expired", "Account locked")
_BUTTONS = ("Sign in", "Log in", "Continue", "Next", "Register", "Submit")
_MOST_LEFT = 40
"""Points from the edge to the fields, at most."""


@dataclass(frozen=True)
class Login:
    """What the screen says."""

    app: str
    fields: tuple[tuple[str, str], ...]
    error: str | None
    button: str


def _login(rng: random.Random, split: Split, look: Look) -> Login:
    first, last = person(rng, split)
    values = {
        "User name": f"{first}{rng.randint(1, 999)}".lower(),
        "E-mail": email(rng, first, last, split),
        "Phone": telephone(rng),
        "Code": str(rng.randrange(1000, 999999)),
        "First name": first,
        "Last name": last,
    }
    room, font = look.width - 2 * look.px(_MOST_LEFT) - look.px(16), look.font(14)
    fitting = [label for label, value in values.items() if font.width(value) < room]
    labels = rng.sample(fitting, min(len(fitting), rng.randint(1, 4)))
    fields = [(label, values[label] if rng.random() < 0.7 else "") for label in labels]
    if rng.random() < 0.6:
        fields.append(("Password", "*" * rng.randint(5, 12) if rng.random() < 0.7 else ""))
    error = rng.choice(_ERRORS) if rng.random() < 0.4 else None
    return Login(apps(rng, split, 1)[0], tuple(fields), error, rng.choice(_BUTTONS))


def _print(rng: random.Random, look: Look, what: Login) -> Page:
    theme, step, left = look.theme, look.px(rng.uniform(66, 80)), look.px(rng.uniform(16, _MOST_LEFT))
    error = look.px(30) if what.error else 0
    page = blank(look, round(look.px(190) + step * len(what.fields) + error))
    top = status_bar(page, look)
    page.write(look.width / 2, top + look.px(40), what.app, look.bold(26), theme.ink, "mm")
    y, right = top + look.px(80), look.width - left
    for label, value in what.fields:
        page.write(left, y, label, look.font(12), theme.muted)
        rect = (left, y + look.px(20), right, y + look.px(54))
        page.bar(rect, theme.surface, look.px(min(look.rounded, 8)), theme.line)
        if value:
            page.write(left + look.px(8), (rect[1] + rect[3]) / 2, value, look.font(14), theme.ink, "lm")
        page.mark(f"field {label}", rect)
        y += step
    if what.error:
        page.write(left, y, what.error, look.font(13), readable((200, 30, 30), theme.ground))
        y += error
    button(page, look, (left, y + look.px(8), right, y + look.px(48)), what.button)
    return page


def _turns(rng: random.Random, what: Login, shot: Shot) -> list[Turn]:
    label, value = rng.choice(what.fields)
    turns = [
        ask(rng, _APP, what.app, "anls", "heading"),
        ask(rng, _EMPTY, yes(not value), task="empty", label=label),
        ask(rng, _BUTTON, what.button, "anls", "button"),
        where(rng, f'the field "{label}"', found(shot, f"field {label}"), shot.size, "field"),
        where(rng, f'the button "{what.button}"', found(shot, f"button {what.button}"), shot.size, "button"),
    ]
    typed = [(name, text) for name, text in what.fields if text and name != "Password"]
    turns += [ask(rng, _VALUE, text, "exact", "field", label=name) for name, text in typed[:2]]
    return [*turns, ask(rng, _ERROR, what.error, "anls", "error")] if what.error else turns


def _draw(rng: random.Random, split: Split) -> Drawn:
    look = pick_look(rng, split)
    what = _login(rng, split, look)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


DATASETS = (Dataset("screen/login", "gui", _draw),)
