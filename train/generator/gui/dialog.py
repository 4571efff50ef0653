"""A dialog over a screen: what it asks, which buttons it has, and which of them does what."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask, in_words, listed, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import (
    Look,
    blank,
    button,
    common_turns,
    found,
    pick_look,
    screenshot,
    status_bar,
    title_bar,
)
from magicvl.train.generator.names import apps, people
from magicvl.train.generator.page import Page, wrap
from magicvl.train.generator.words import word
from magicvl.train.samples.sample import Turn

_ASKS = ("What does the dialog ask?", "What is the question in the dialog?", "Read the heading of the dialog.")
_BUTTONS = ("Which buttons does the dialog have?", "List the buttons of the dialog.")
_COUNT = ("How many buttons does the dialog have?", "How many buttons are there?")
_PRESS = ("Which button should I press to {aim}?", "What do I press to {aim}?", "I want to {aim}. Which button is it?")
_BODY = ("What does the text under the heading say?", "Read the text below the heading of the dialog.")
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")
# Heading; what each button does, by its label.
_KINDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("Delete {thing}?", {"Cancel": "keep it", "Delete": "delete it"}),
    ("Save changes to {thing}?", {"Discard": "throw the changes away", "Save": "save the changes"}),
    ("Turn on {thing}?", {"Not now": "leave it off", "Turn on": "turn it on"}),
    ("Update {thing}?", {"Later": "update at another time", "Update": "update now"}),
    ("Call {person}?", {"Cancel": "not call", "Call": "make the call"}),
    ("Send {thing} to {person}?", {"Cancel": "not send it", "Send": "send it"}),
    ("Allow {thing} to see photos?", {"Deny": "forbid it", "Once": "allow it just now", "Always": "allow it for good"}),
    ("Remove {person} from contacts?", {"Keep": "keep the contact", "Remove": "remove the contact"}),
    ("Exit {thing}?", {"Stay": "stay", "Exit": "leave"}),
    ("No connection to {thing}", {"Close": "close the dialog", "Retry": "try again"}),
    ("Overwrite {thing}?", {"Cancel": "change nothing", "Rename": "give it another name", "Replace": "overwrite it"}),
    ("Log out of {thing}?", {"Stay": "stay logged in", "Log out": "log out"}),
    ("Install {thing}?", {"Skip": "go on without it", "Install": "install it"}),
)  # fmt: skip
_BODIES = (
    "This cannot be undone.",
    "The {noun} is {adjective}.",
    "It needs {count} MB of space.",
    "You have used it {count} times.",
    "Your {noun} and your {other} will stay as they are.",
    "",
)


@dataclass(frozen=True)
class Dialog:
    """What the dialog says."""

    behind: str
    """Title of the screen behind it."""
    heading: str
    body: str
    buttons: dict[str, str]
    """What each does, by its label, from left to right or top to bottom."""


def _dialog(rng: random.Random, split: Split) -> Dialog:
    heading, buttons = rng.choice(_KINDS)
    behind, thing = apps(rng, split, 2)
    body = rng.choice(_BODIES).format(
        noun=word(rng, split, "noun"), other=word(rng, split, "noun"), adjective=word(rng, split, "adjective"),
        count=rng.randint(2, 400),
    )  # fmt: skip
    return Dialog(behind, heading.format(thing=thing, person=people(rng, split, 1)[0]), body, buttons)


def _print(rng: random.Random, look: Look, what: Dialog) -> Page:
    pad, across = look.px(18), look.width * rng.uniform(0.8, 0.92)
    title, body = look.bold(17), look.font(14)
    heading, text = wrap(what.heading, title, across - 2 * pad), wrap(what.body, body, across - 2 * pad)
    stacked = len(what.buttons) > 2 or rng.random() < 0.25
    room = look.px(44) * (len(what.buttons) if stacked else 1)
    height = 2.5 * pad + len(heading) * title.height + len(text) * body.height + room
    page, top = _behind(rng, look, what.behind, height)
    left, y = (look.width - across) / 2, max(top + 4, (page.size[1] - height) / 2)
    theme = look.theme
    page.bar((left, y, left + across, y + height), theme.surface, look.px(look.rounded), theme.line)
    page.mark("dialog", (left, y, left + across, y + height))
    y += pad
    for line in heading:
        page.write(left + pad, y, line, title, theme.ink)
        y += title.height
    for line in text:
        page.write(left + pad, y + pad / 4, line, body, theme.muted)
        y += body.height
    _buttons(page, look, what, (left + pad, y + pad, left + across - pad), stacked)
    return page


def _behind(rng: random.Random, look: Look, title: str, room: float) -> tuple[Page, float]:
    """The screen behind, with room for the dialog, often darkened; and where its title bar ends."""
    height = rng.choice((look.height, round(look.width * rng.uniform(0.8, 1.4))))
    page = blank(look, max(height, round(look.px(78) + room)))
    top = title_bar(page, look, status_bar(page, look), title)
    if rng.random() < 0.7:
        _dim(page)
    return page, top


def _dim(page: Page) -> None:
    """What lies behind the dialog is darkened; it can still be read."""
    page.picture.paste(page.picture.point([round(level * 0.82) for level in range(256)] * 3))


def _buttons(page: Page, look: Look, what: Dialog, at: tuple[float, float, float], stacked: bool) -> None:
    left, top, right = at
    count, gap, height = len(what.buttons), look.px(8), look.px(36)
    across = right - left if stacked else (right - left - gap * (count - 1)) / count
    for number, label in enumerate(what.buttons):
        x, y = (left, top + number * (height + gap)) if stacked else (left + number * (across + gap), top)
        button(page, look, (x, y, x + across, y + height), label, number == count - 1)


def _turns(rng: random.Random, what: Dialog, shot: Shot) -> list[Turn]:
    label, aim = rng.choice(list(what.buttons.items()))
    task = "which button"
    turns = [
        ask(rng, _ASKS, what.heading, "anls", "heading"),
        ask(rng, _BUTTONS, listed(list(what.buttons)), "anls", "buttons"),
        ask(rng, _COUNT, len(what.buttons), task="count buttons", others=[in_words(len(what.buttons))]),
        *(ask(rng, _PRESS, name, task=task, aim=does) for name, does in what.buttons.items()),
        where(rng, f'the button "{label}"', found(shot, f"button {label}"), shot.size, "button"),
        where(rng, f"the button to press to {aim}", found(shot, f"button {label}"), shot.size, "button"),
    ]
    return [*turns, ask(rng, _BODY, what.body, "anls", "body")] if what.body else turns


def _draw(rng: random.Random, split: Split) -> Drawn:
    look, what = pick_look(rng, split), _dialog(rng, split)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 3), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    look, what = pick_look(rng, split), _dialog(rng, split)
    shot = screenshot(rng, _print(rng, look, what))
    labels = [f'"{label}"' for label in what.buttons]
    text = f'A dialog that says "{what.heading}" with the buttons {", ".join(labels[:-1])} and {labels[-1]}.'
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (Dataset("screen/dialog", "gui", _draw), Dataset("caption/dialog", "caption", _caption))
