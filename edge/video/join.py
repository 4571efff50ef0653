"""The descriptions of a film's windows as one.

- Subjects of equal name and equal attributes, whatever their order and case, are one and the same from window to
  window. Where a window has several alike, the first goes on as the first, the second as the second.
- A subject's actions follow in order of time. One that lasts to the last frame of a window and is there again, in the
  same words, in the first frame of the next is one action.
- A subject's track goes on from window to window.
- Subjects stand in the order in which they appear. Captions follow one another in order, a space between.

The rules look at words alone, so the same windows always give the same film.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from magicvl.edge.video.description import Action, Description, Subject

Key = tuple[str, frozenset[str], int]
"""Name, attributes, and which of those alike."""


@dataclass(frozen=True)
class Described:
    """What was said of a window."""

    times: tuple[float, ...]
    """Of its frames, in seconds from the film's beginning."""
    description: Description


def join(parts: Sequence[Described]) -> Description:
    """One description of all windows, which are in order of time."""
    found: dict[Key, Subject] = {}
    last: float | None = None
    for part in parts:
        border = None if last is None else (last, part.times[0])
        alike: Counter[tuple[str, frozenset[str]]] = Counter()
        for subject in part.description.subjects:
            kind = _plain(subject.name), frozenset(map(_plain, subject.attributes))
            key = *kind, alike[kind]
            alike[kind] += 1
            found[key] = subject if key not in found else _longer(found[key], subject, border)
        last = part.times[-1]
    captions = (part.description.caption.strip() for part in parts)
    return Description(tuple(map(_ordered, found.values())), " ".join(filter(None, captions)))


def _longer(before: Subject, after: Subject, border: tuple[float, float] | None) -> Subject:
    """A subject with what it does later; what goes on over the border is done once."""
    actions = list(before.actions)
    for new in after.actions:
        place = next((i for i, old in enumerate(actions) if _goes_on(old, new, border)), None)
        if place is None:
            actions.append(new)
        else:
            actions[place] = Action(actions[place].action, actions[place].times + new.times)
    return Subject(before.name, before.attributes, tuple(actions), before.track + after.track)


def _goes_on(old: Action, new: Action, border: tuple[float, float] | None) -> bool:
    touching = bool(old.times and new.times) and (old.times[-1], new.times[0]) == border
    return touching and _plain(old.action) == _plain(new.action)


def _ordered(subject: Subject) -> Subject:
    return replace(subject, actions=tuple(sorted(subject.actions, key=lambda each: each.times[:1])))


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
