"""The list of chats or mails: who wrote, when, and how much of it is unread."""

import random
from dataclasses import dataclass

from magicvl.train.generator.asking import ask, in_words, listed, some, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.chat import said
from magicvl.train.generator.gui.look import (
    Look,
    avatar,
    blank,
    common_turns,
    found,
    pick_look,
    screenshot,
    status_bar,
    title_bar,
)
from magicvl.train.generator.names import people
from magicvl.train.generator.page import Page, shorten
from magicvl.train.samples.sample import Turn

_UNREAD = ("How many unread messages are there from {name}?", "How many new messages did {name} send?")
_WHO = ("Who has sent unread messages?", "From whom are there unread messages?")
_MOST = ("Who has sent the most unread messages?", "From whom are there the most unread messages?")
_WHEN = ("When did {name} write?", "What time stands beside {name}?")
_ALL = ("How many messages are unread in all?", "How many unread messages are there altogether?")
_FIRST = ("Who is at the top of the list?", "Whose chat is the first?")


@dataclass(frozen=True)
class Thread:
    """One row."""

    name: str
    text: str
    time: str
    unread: int


@dataclass(frozen=True)
class Inbox:
    """What the screen says."""

    title: str
    threads: tuple[Thread, ...]


def _inbox(rng: random.Random, split: Split) -> Inbox:
    names = people(rng, split, rng.randint(3, 8))
    unread = rng.sample(range(1, 30), len(names))
    minutes = sorted(rng.sample(range(1439), len(names)), reverse=True)
    threads = (
        Thread(name, said(rng, split), f"{at // 60:02d}:{at % 60:02d}", new if rng.random() < 0.45 else 0)
        for name, new, at in zip(names, unread, minutes, strict=True)
    )
    return Inbox(rng.choice(("Chats", "Messages", "Inbox", "Mail")), tuple(threads))


def _print(rng: random.Random, look: Look, what: Inbox) -> Page:
    height, side = look.px(rng.uniform(56, 68)), look.px(38)
    page = blank(look, round(look.px(78) + height * len(what.threads)))
    top = title_bar(page, look, status_bar(page, look), what.title, back=False)
    for number, thread in enumerate(what.threads):
        y, left, right = top + number * height, look.px(64), look.width - look.px(12)
        avatar(rng, page, look, look.px(14), y + (height - side) / 2, side, thread.name)
        page.write(left, y + height * 0.32, thread.name, look.bold(15), look.theme.ink, "lm")
        text = shorten(thread.text, look.font(12), right - left - look.px(32))
        page.write(left, y + height * 0.7, text, look.font(12), look.theme.muted, "lm")
        page.write(right, y + height * 0.32, thread.time, look.font(11), look.theme.muted, "rm")
        if thread.unread:
            _badge(page, look, right, y + height * 0.7, thread.unread)
        page.mark(f"chat {thread.name}", (0, y, look.width, y + height))
    return page


def _badge(page: Page, look: Look, right: float, middle: float, count: int) -> None:
    font = look.bold(11)
    across = max(font.width(str(count)) + 10, font.size * 1.5)
    rect = (right - across, middle - font.size * 0.75, right, middle + font.size * 0.75)
    page.bar(rect, look.theme.accent, font.size)
    page.write((rect[0] + rect[2]) / 2, middle, str(count), font, look.theme.on_accent, "mm")


def _turns(rng: random.Random, what: Inbox, shot: Shot) -> list[Turn]:
    one = rng.choice(what.threads)
    new = [thread for thread in what.threads if thread.unread]
    turns = [
        ask(rng, _UNREAD, one.unread, task="unread", others=[in_words(one.unread)], name=one.name),
        ask(rng, _WHEN, one.time, task="time", name=one.name),
        ask(rng, _FIRST, what.threads[0].name, "anls", "first"),
        where(rng, f"the chat with {one.name}", found(shot, f"chat {one.name}"), shot.size, "row"),
        ask(rng, _ALL, sum(thread.unread for thread in new), task="unread in all"),
    ]
    if new:
        turns.append(ask(rng, _WHO, listed([thread.name for thread in new]), "anls", "who"))
    if len(new) > 1:
        turns.append(ask(rng, _MOST, max(new, key=lambda thread: thread.unread).name, "anls", "most unread"))
    return turns


def _draw(rng: random.Random, split: Split) -> Drawn:
    look, what = pick_look(rng, split), _inbox(rng, split)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


DATASETS = (Dataset("screen/inbox", "gui", _draw),)
