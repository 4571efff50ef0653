"""A chat: who wrote what and when; long ones over several screens."""

import random
from dataclasses import dataclass
from functools import partial

from magicvl.train.generator.asking import ask, in_words, some, spoken, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.distort import Shot
from magicvl.train.generator.gui.look import (
    COUNTABLE,
    Look,
    blank,
    common_turns,
    pick_look,
    screenshot,
    status_bar,
    title_bar,
)
from magicvl.train.generator.names import person
from magicvl.train.generator.page import Page, wrap
from magicvl.train.generator.words import with_articles, word
from magicvl.train.samples.sample import Turn

_WITH = ("Who is the chat with?", "Whose chat is this?", "Who is the other person in this chat?")
_THEIRS = ("What did {name} write last?", "What is the last message of {name}?")
_MINE = ("What did I write last?", "What is my last message? Mine are on the right.")
_AT = ("What was written at {time}?", "Which message was sent at {time}?")
_WHEN = ('When was "{text}" sent?', 'At what time was "{text}" written?')
_WHO = ('Who wrote "{text}"? Answer {name} or me; mine are on the right.', 'Is "{text}" from {name} or from me?')
_COUNT = ("How many messages are in the chat?", "How many messages are shown?")
_FIRST = ("What does the first message say?", "Read the first message.")
_DESCRIBE = ("Describe the picture.", "What do you see?", "Write a short caption.")
_SAID = (
    "Did you see the {n}?",
    "The {n} is {a}",
    "I can {v} the {n}",
    "Please bring the {n}",
    "We need {d} more of them, and a {n}",
    "See you near the {n} at {d}",
    "No, the {a} one!",
    "Shall we {v} it?",
    "Ok, I will {v} the {a} {n}",
    "{a} and {n}?",
    "Call me about the {n}",
    "My {n} is too {a} for that",
)


@dataclass(frozen=True)
class Message:
    """What was written."""

    mine: bool
    text: str
    time: str


@dataclass(frozen=True)
class Chat:
    """A conversation of two."""

    name: str
    messages: tuple[Message, ...]
    """No text and no time twice; both sides say something."""


def said(rng: random.Random, split: Split) -> str:
    """A short message."""
    text = with_articles(rng.choice(_SAID).format(
        n=word(rng, split, "noun"), v=word(rng, split, "verb"), a=word(rng, split, "adjective"), d=rng.randint(2, 12)
    ))  # fmt: skip
    return text[0].upper() + text[1:]


def _chat(rng: random.Random, split: Split, count: int) -> Chat:
    first, last = person(rng, split)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[said(rng, split)] = None
    minutes = sorted(rng.sample(range(360, 1439), count))
    sides = [True, False, *(rng.random() < 0.5 for _ in range(count - 2))]
    rng.shuffle(sides)
    messages = (
        Message(mine, text, f"{minute // 60:02d}:{minute % 60:02d}")
        for mine, text, minute in zip(sides, texts, minutes, strict=True)
    )
    return Chat(f"{first} {last}" if rng.random() < 0.5 else first, tuple(messages))


def _print(rng: random.Random, look: Look, what: Chat) -> Page:
    """Mine on the right in the accent's colour, the other's on the left."""
    font, small, pad = look.font(14), look.font(11), look.px(8)
    step, widest = font.height, look.width * 0.68
    wrapped = [wrap(message.text, font, widest) for message in what.messages]
    least = look.font(11).size
    heights = [len(lines) * step + least * 1.2 + 2 * pad for lines in wrapped]
    gap = look.px(rng.uniform(6, 14))
    used = look.px(78) + sum(heights) + gap * (len(heights) + 1)
    page = blank(look, max(round(used), min(look.height, 2 * look.width) if len(heights) > 3 else 0))
    y = title_bar(page, look, status_bar(page, look), what.name) + gap
    for message, lines, height in zip(what.messages, wrapped, heights, strict=True):
        across = max(small.width(message.time), *(font.width(line) for line in lines)) + 2 * pad
        left = look.width - pad - across if message.mine else pad
        fill, ink = (look.theme.accent, look.theme.on_accent) if message.mine else (look.theme.surface, look.theme.ink)
        rect = (left, y, left + across, y + height)
        page.bar(rect, fill, look.px(look.rounded))
        for number, line in enumerate(lines):
            page.write(left + pad, y + pad / 2 + number * step, line, font, ink)
        page.write(left + across - pad, y + height - pad / 2, message.time, small, ink, "rd")
        page.mark(f"message {message.text}", rect)
        y += height + gap
    return page


def _turns(rng: random.Random, what: Chat, shot: Shot) -> list[Turn]:
    one, other = rng.choice(what.messages), rng.choice(what.messages)
    name = what.name.split()[0]
    box = next(box for box in shot.boxes if box.label == f"message {one.text}")
    turns = [
        ask(rng, _WITH, what.name, "anls", "who", [name]),
        ask(rng, _THEIRS, next(m.text for m in reversed(what.messages) if not m.mine), "anls", "theirs", name=name),
        ask(rng, _MINE, next(m.text for m in reversed(what.messages) if m.mine), "anls", "mine"),
        ask(rng, _AT, one.text, "anls", "message at", time=one.time),
        ask(rng, _WHEN, other.time, task="time", text=other.text),
        ask(rng, _WHO, "me" if one.mine else name, task="who wrote", text=one.text, name=name),
        ask(rng, _FIRST, what.messages[0].text, "anls", "first"),
        where(rng, f'the message "{one.text}"', box, shot.size, "message"),
    ]
    if len(what.messages) <= COUNTABLE:
        count = len(what.messages)
        turns.append(ask(rng, _COUNT, count, task="count messages", others=[in_words(count)]))
    return turns


def _draw(rng: random.Random, split: Split, screens: tuple[float, float]) -> Drawn:
    look = pick_look(rng, split)
    count = max(2, int(rng.uniform(*screens) * look.height / look.px(64)))
    what = _chat(rng, split, count)
    shot = screenshot(rng, _print(rng, look, what))
    turns = [*_turns(rng, what, shot), *rng.sample(common_turns(rng, look), 1)]
    return Drawn((shot.picture,), some(rng, turns, 4), shot.boxes)


def _caption(rng: random.Random, split: Split) -> Drawn:
    look, count = pick_look(rng, split), rng.randint(2, 4)
    what = _chat(rng, split, count)
    shot = screenshot(rng, _print(rng, look, what))
    lines = [f'{"me" if m.mine else what.name} saying "{m.text}"' for m in what.messages]
    text = f"A chat with {what.name} of {in_words(count)} messages: {spoken(lines)}."
    return Drawn((shot.picture,), (ask(rng, _DESCRIBE, text, "f1", "caption"),), shot.boxes)


DATASETS = (
    Dataset("screen/chat", "gui", partial(_draw, screens=(0.2, 0.9))),
    Dataset("long/chat", "gui", partial(_draw, screens=(3.4, 7.0))),
    Dataset("caption/chat", "caption", _caption),
)
