"""An answer with tracks, in tokens: where its entries are and what each says, and which tokens say what subjects do.

Training alone looks at answers like this; what a track is, and how it is read from a model's text, is
magicvl.edge.video.track's.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magicvl.edge.plan import Plan
from magicvl.edge.video.description import Description, Subject
from magicvl.edge.video.track import ENTRY
from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.video.motions import VERBS
from magicvl.train.video.visual_ids import visual_token

DIGITS = 3
"""Of an entry: column, row and size."""
CHANGES = (3, 3, 3, 2)
"""How many ways there are for each digit (less, the same, more) and the look (the same, another) to go on."""
_TRACK = re.compile(r'\{"name":"[^"]*","attributes":\[[^\]]*\],"track":"([^"]*)"')
"""A subject up to its track, which is the group."""
_ACTIONS = re.compile(r'"actions":\[(.*?)\]')
_NUMBER = re.compile(r"[0-9.]+")
_SEEN = re.compile(r'[\[,]\{"name":"[^"]*","attributes":\[[^\]]*\],"track":"[^"]*"|\](?=,"caption")')
"""What only who sees a film can say: that a subject follows and which, where it is; that there is no other."""


@dataclass(frozen=True)
class Pointed:
    """An entry of a track, in tokens."""

    begin: int
    """Which of the answer's tokens it begins with; a track's first has its subject's name and attributes before it."""
    marks: int
    """Which of them is its first digit of place; two more follow."""
    token: int
    """Which of the film's visual tokens shows the subject's middle."""
    digits: tuple[int, int, int]
    news: tuple[bool, bool, bool, bool]
    """Which of the digits, and whether the look, are not those of the entry before; all of a track's first."""
    end: int
    """Which of the answer's tokens ends it."""
    changes: tuple[int, int, int, int]
    """Since the entry before, of the digits and the look, as CHANGES has them; IGNORED in a track's first."""
    verb: int
    """What its subject is doing then, a number of VERBS."""


def pointed(description: Description, one: Plan, spelled: Sequence[str]) -> Iterator[Pointed]:
    """The entries of an answer that says a description with its tracks, given as the texts of its tokens.

    All frames have the plan `one`.
    """
    starts, text = _starts(spelled)
    for subject, track in zip(description.subjects, _TRACK.finditer(text), strict=True):
        before: tuple[str, ...] = ()
        begin = _holding(starts, track.start())
        entries = ENTRY.finditer(text, track.start(1), track.end(1))
        for sighting, entry in zip(subject.track, entries, strict=True):
            token = visual_token(one, sighting.x, sighting.y)
            assert token is not None, "a sighting lies in its frame"
            seen = entry[2], entry[3], entry[4], entry[5]
            news = [not before or old != new for old, new in zip(before or seen, seen, strict=True)]
            yield Pointed(
                starts[entry.start(1)] if before else begin,
                starts[entry.start(2)],
                (int(entry[1]) - 1) * one.tokens + token,
                (int(seen[0]), int(seen[1]), int(seen[2])),
                (news[0], news[1], news[2], news[3]),
                _holding(starts, entry.end() - 1),
                _changes(before, seen),
                _doing(subject, sighting.time),
            )
            before = seen


def action_tokens(spelled: Sequence[str]) -> tuple[int, ...]:
    """Which of an answer's tokens, given as texts, say what subjects do, the times apart.

    Times are the least certain of it, and would be most of what is learned.
    """
    starts, text = _starts(spelled)
    parts = list(_ACTIONS.finditer(text))
    inside = {place for part in parts for place in range(part.start(1), part.end(1) + 1)}
    for part in parts:
        for number in _NUMBER.finditer(text, part.start(1), part.end(1)):
            inside -= set(range(*number.span()))
    return tuple(number for at, number in starts.items() if at in inside)


def read_tokens(spelled: Sequence[str]) -> tuple[int, ...]:
    """Which of an answer's tokens, given as texts, can be said by who has read its tracks and seen nothing."""
    starts, text = _starts(spelled)
    seen = {place for part in _SEEN.finditer(text) for place in range(*part.span())}
    return tuple(number for at, number in starts.items() if at not in seen)


def _starts(spelled: Sequence[str]) -> tuple[dict[int, int], str]:
    """Which token begins at a character, and the whole text."""
    starts, text = dict[int, int](), ""
    for number, token in enumerate(spelled):
        starts[len(text)] = number
        text += token
    return starts, text


def _holding(starts: dict[int, int], place: int) -> int:
    """Which token a character is in."""
    return max(number for at, number in starts.items() if at <= place)


def _changes(before: tuple[str, ...], seen: tuple[str, ...]) -> tuple[int, int, int, int]:
    if not before:
        return (IGNORED,) * 4
    column, row, size = (
        1 + (int(new) > int(old)) - (int(new) < int(old))
        for old, new in zip(before[:DIGITS], seen[:DIGITS], strict=True)
    )
    return column, row, size, int(seen[DIGITS] != before[DIGITS])


def _doing(subject: Subject, time: float) -> int:
    verbs = (VERBS.index(each.action.split()[0]) for each in subject.actions if time in each.times)
    return next(verbs, 0)
