"""Planted truths made of clips, of which everything is known, in the words that clips are told in."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magicvl.train.clips.clip import Clip, Happening
from magicvl.train.clips.make import make_clip
from magicvl.train.generator.dataset import Split
from magicvl.train.rewards.planted import Kind, Planted, PlantedFilm, sentences_of

STYLE = "shapes/rich"
MUTUAL = ("meets",)
"""What two do with each other: swapped it stays true."""


def clip_films(count: int, seed: int = 0, split: Split = "validation", style: str = STYLE) -> list[PlantedFilm]:
    """So many films, of those clips that have at least two events."""
    clips: list[Clip] = []
    number = 0
    while len(clips) < count:
        clip = make_clip(seed, number, split, style)
        number += 1
        if len(clip.events) > 1:
            clips.append(clip)
    words = _Words.of(clips)
    return [_film(random.Random(f"planted {clip.id}"), clip, words) for clip in clips]


@dataclass(frozen=True)
class _Words:
    """Names and actions to put in the place of the right ones."""

    names: tuple[str, ...]
    actions: tuple[str, ...]
    """Without anybody else in them."""

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "_Words":
        alone = [event for clip in clips for event in clip.events if event.subject is not None and event.other is None]
        names = sorted({_name(event) for event in alone if len(_name(event).split()) > 2})
        return cls(tuple(names), tuple(sorted({event.action for event in alone})))


def _film(rng: random.Random, clip: Clip, words: _Words) -> PlantedFilm:
    events = tuple(event.text for event in clip.events)
    whole = (True,) * len(events)
    found = [Planted("right", sentences_of(events), whole), Planted("paraphrase", clip.caption, whole)]
    for kind, place, wrong in _changes(rng, clip, words):
        told = tuple(number != place for number in range(len(events)))
        found.append(Planted(kind, sentences_of([*events[:place], *wrong, *events[place + 1 :]]), told))
    found.append(Planted("order", sentences_of(events[::-1]), whole))
    return PlantedFilm(events, tuple(found))


def _changes(rng: random.Random, clip: Clip, words: _Words) -> Iterator[tuple[Kind, int, list[str]]]:
    """One wrong caption of each kind: the event that is changed, and what stands in its place."""
    taken = {event.text for event in clip.events}
    own = [place for place, event in enumerate(clip.events) if event.subject is not None]
    pairs = [place for place in own if clip.events[place].other is not None and not _mutual(clip.events[place])]
    choices: tuple[tuple[Kind, list[int]], ...] = (("actor", own), ("action", own), ("swapped", pairs))
    for kind, places in choices:
        if places:
            place = rng.choice(places)
            event = clip.events[place]
            wrong = _wrong(rng, kind, event, words)
            if wrong not in taken:
                yield kind, place, [wrong]
    yield "missing", rng.randrange(len(clip.events)), []


def _wrong(rng: random.Random, kind: str, event: Happening, words: _Words) -> str:
    who = _name(event)
    if kind == "actor":
        return f"{rng.choice([name for name in words.names if not _shares(name, event.text)])} {event.action}"
    if kind == "action":
        verb = event.action.split()[0]
        others = [action for action in words.actions if action != event.action and _rules_out(action, event.action)]
        return f"{who} {rng.choice(others or [a for a in words.actions if a.split()[0] != verb])}"
    verb, _, other = event.action.partition(" the ")
    return f"the {other} {verb} {who}"


def _name(event: Happening) -> str:
    return event.text.removesuffix(event.action).strip()


def _mutual(event: Happening) -> bool:
    return event.action.startswith(MUTUAL) or " the " not in event.action


def _shares(name: str, text: str) -> bool:
    """Whether a name could stand for somebody in the text."""
    return name.rsplit(maxsplit=1)[-1] in text.split()


def _rules_out(action: str, other: str) -> bool:
    """The same verb another way, or another verb: `moves left` and `moves right`."""
    return action.split(maxsplit=1)[0] == other.split(maxsplit=1)[0]
