"""Dense supervision of tracks: which visual token each entry is about, and what that token says of place and size.

A track can be written without looking: most of its digits are those of the frame before, and a model that copies them
has a low loss and sees nothing (LOG.md). So each entry's states must tell, among all visual tokens of the film, the one
that shows the subject's middle in the entry's frame (and those of a subject's name and attributes the first of them:
which subject is next is settled there); that token's state must tell the three digits; digits and looks that are news,
which copying does not give, weigh more in the description's own loss; and some films are read with wrong digits in
place of those before, so that none can be copied. The others can be read with digits that are one off here and there,
as those are that a model writes itself: what follows from a track is then learned from such ones too. And the state
that ends an entry must tell what changed since the entry before and what the subject is doing then, of which the verbs
of the description are made. The head is used in training only and is no part of an adapter.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from magicvl.edge.plan import Plan
from magicvl.edge.video.description import Description, Subject
from magicvl.edge.video.track import ENTRY
from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.video.motions import VERBS
from magicvl.train.video.visual_ids import visual_token

DIGITS = 3
"""Of an entry: column, row and size."""
_CHANGES = (3, 3, 3, 2)
"""How many ways there are for each digit (less, the same, more) and the look (the same, another) to go on."""
_TRACK = re.compile(r'\{"name":"[^"]*","attributes":\[[^\]]*\],"track":"([^"]*)"')
"""A subject up to its track, which is the group."""
_ACTIONS = re.compile(r'"actions":\[(.*?)\]')
_NUMBER = re.compile(r"[0-9.]+")
_SEEN = re.compile(r'[\[,]\{"name":"[^"]*","attributes":\[[^\]]*\],"track":"[^"]*"|\](?=,"caption")')
"""What only who sees a film can say: that a subject follows and which, where it is; that there is no other."""
_KEY = 64
"""Width in which entries and visual tokens are held against one another."""


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
    """Since the entry before, of the digits and the look, as _CHANGES has them; IGNORED in a track's first."""
    verb: int
    """What its subject is doing then, a number of VERBS."""


@dataclass(frozen=True)
class PointingTargets:
    """The `n` entries of a batch whose rows lie one after another."""

    states: torch.Tensor
    """(m,) where in the batch a token of an entry is, from its first to its row of place: what follows them is told by
    the frame."""
    entries: torch.Tensor
    """(m,) which entry that is."""
    visual: torch.Tensor
    """(films, most) where the visual tokens of each film are; -1 where it has no more."""
    films: torch.Tensor
    """(n,) which film an entry is of."""
    tokens: torch.Tensor
    """(n,) which of its film's visual tokens it is about."""
    digits: torch.Tensor
    """(n, 3)"""
    ends: torch.Tensor
    """(m,) where in the batch entries end, also those of films that are not seen."""
    changes: torch.Tensor
    """(m, 4)"""
    verbs: torch.Tensor
    """(m,)"""

    @staticmethod
    def of(films: Sequence[tuple[Sequence[Pointed], int, Sequence[int]]], longest: int) -> "PointingTargets":
        """Those of films in a batch whose rows are `longest` tokens: of each its entries, the place of its answer in
        the row, and the places of its visual tokens; without any it is not seen."""
        every = [(row, answer, entry) for row, (entries, answer, _) in enumerate(films) for entry in entries]
        found = [(row, answer, entry) for row, answer, entry in every if films[row][2]]
        states = [
            (row * longest + answer + place, number)
            for number, (row, answer, entry) in enumerate(found)
            for place in range(entry.begin, entry.marks + DIGITS - 1)
        ]
        # A batch may have none: one column, all of it empty.
        most = max(1, *(len(visual) for _, _, visual in films))
        rows = [[row * longest + place for place in visual] for row, (_, _, visual) in enumerate(films)]
        return PointingTargets(
            torch.tensor([state for state, _ in states], dtype=torch.long),
            torch.tensor([number for _, number in states], dtype=torch.long),
            torch.tensor([[*row, *[-1] * (most - len(row))] for row in rows], dtype=torch.long),
            torch.tensor([row for row, _, _ in found], dtype=torch.long),
            torch.tensor([entry.token for _, _, entry in found], dtype=torch.long),
            torch.tensor([entry.digits for _, _, entry in found], dtype=torch.long).reshape(-1, DIGITS),
            torch.tensor([row * longest + answer + entry.end for row, answer, entry in every], dtype=torch.long),
            torch.tensor([entry.changes for _, _, entry in every], dtype=torch.long).reshape(-1, len(_CHANGES)),
            torch.tensor([entry.verb for _, _, entry in every], dtype=torch.long),
        )


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


def _holding(starts: dict[int, int], place: int) -> int:
    """Which token a character is in."""
    return max(number for at, number in starts.items() if at <= place)


class PointingHead(nn.Module):
    """Reads both off the decoder's states, (all, width). It has matrices alone, so that Muon can teach it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.query, self.key = nn.Linear(width, _KEY, bias=False), nn.Linear(width, _KEY, bias=False)
        self.digits = nn.Linear(width, DIGITS * 10, bias=False)
        self.changes = nn.Linear(width, sum(_CHANGES) + len(VERBS), bias=False)

    def forward(self, states: torch.Tensor, targets: PointingTargets) -> dict[str, torch.Tensor]:
        """Mean cross-entropies in nats: `pointing`, of visual tokens among their film's, `digits`, and `changes`, the
        mean of those of what changed and of what is done."""
        states = self.norm(states)
        where = targets.entries.to(states.device)
        films, tokens = targets.films.to(states.device), targets.tokens.to(states.device)
        visual = targets.visual.to(states.device)
        keys = self.key(states[visual.clamp(min=0)])
        queries = self.query(states[targets.states.to(states.device)])
        scores = (keys[films[where]] @ queries[:, :, None])[..., 0] / _KEY**0.5
        scores = scores.masked_fill(visual[films[where]] < 0, -torch.inf)
        # Nobody may be seen at all: the mean of nothing would be no number.
        pointing = F.cross_entropy(scores, tokens[where], reduction="sum") / max(1, len(where))
        shown = states[visual[films, tokens]]
        digits = targets.digits.to(states.device).flatten()
        said = self.digits(shown).view(-1, 10)
        told = F.cross_entropy(said, digits, reduction="sum") / max(1, len(digits))
        return {"pointing": pointing, "digits": told, "changes": self._changed(states, targets)}

    def _changed(self, states: torch.Tensor, targets: PointingTargets) -> torch.Tensor:
        read = self.changes(states[targets.ends.to(states.device)]).split((*_CHANGES, len(VERBS)), dim=-1)
        true = torch.cat([targets.changes, targets.verbs[:, None]], dim=1).to(states.device)
        losses = [
            F.cross_entropy(said, true[:, which], reduction="sum", ignore_index=IGNORED)
            / max(1, int((true[:, which] != IGNORED).sum()))
            for which, said in enumerate(read)
        ]
        return torch.stack(losses).mean()


def news_weights(films: Sequence[tuple[Sequence[Pointed], int]], longest: int, weight: float) -> torch.Tensor:
    """(films, longest) how much each token of a batch counts as a label: digits and looks that are news `weight`, all
    else 1."""
    weights = torch.ones(len(films), longest)
    for row, (entries, answer) in enumerate(films):
        for entry in entries:
            look = entry.marks + DIGITS
            spans = [(look - DIGITS + digit, look - DIGITS + digit + 1) for digit in range(DIGITS)]
            for new, (begin, end) in zip(entry.news, [*spans, (look, entry.end + 1)], strict=True):
                if new:
                    weights[row, answer + begin : answer + end] = weight
    return weights


def wrong_digits(entries: Sequence[Pointed], rng: random.Random) -> list[list[int]]:
    """What entries are read with in place of their three digits, so that copying gives none of them.

    Of columns, rows and sizes each, either all are moved by as much (around the end), so that a track is as steady as a
    true one, or each is drawn anew.
    """
    ways = [(rng.random() < 0.5, rng.randrange(1, 10)) for _ in range(DIGITS)]
    return [
        [
            (digit + (by if together else rng.randrange(10))) % 10
            for digit, (together, by) in zip(entry.digits, ways, strict=True)
        ]
        for entry in entries
    ]


def unsteady_digits(entries: Sequence[Pointed], share: float, rng: random.Random) -> list[list[int]]:
    """The three digits of entries, `share` of them one off: those that a model writes itself are no steadier."""
    return [[_nearby(digit, rng) if rng.random() < share else digit for digit in entry.digits] for entry in entries]


def _nearby(digit: int, rng: random.Random) -> int:
    """One less or one more, within 0..9."""
    return rng.choice([each for each in (digit - 1, digit + 1) if 0 <= each <= 9])
