"""Dense supervision of tracks: which visual token each entry is about, what that token says of place and size, and what
changes from entry to entry.

A track can be written without looking: most of its digits are those of the frame before, and a model that copies them
has a low loss and sees nothing (LOG.md). So each entry's states must tell, among all visual tokens of the film, the one
that shows the subject's middle in the entry's frame (and those of a subject's name and attributes the first of them:
which subject is next is settled there); that token's state must tell the three digits; and the state that ends an entry
what changed since the entry before and what the subject is doing then, of which the verbs of the description are made.
The head is used in training only and is no part of an adapter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.video.entries import CHANGES, DIGITS, Pointed
from magicvl.train.video.motions import VERBS

_KEY = 64
"""Width in which entries and visual tokens are held against one another."""


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
            torch.tensor([entry.changes for _, _, entry in every], dtype=torch.long).reshape(-1, len(CHANGES)),
            torch.tensor([entry.verb for _, _, entry in every], dtype=torch.long),
        )


class PointingHead(nn.Module):
    """Reads both off the decoder's states, (all, width). It has matrices alone, so that Muon can teach it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.query, self.key = nn.Linear(width, _KEY, bias=False), nn.Linear(width, _KEY, bias=False)
        self.digits = nn.Linear(width, DIGITS * 10, bias=False)
        self.changes = nn.Linear(width, sum(CHANGES) + len(VERBS), bias=False)

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
        read = self.changes(states[targets.ends.to(states.device)]).split((*CHANGES, len(VERBS)), dim=-1)
        true = torch.cat([targets.changes, targets.verbs[:, None]], dim=1).to(states.device)
        losses = [
            F.cross_entropy(said, true[:, which], reduction="sum", ignore_index=IGNORED)
            / max(1, int((true[:, which] != IGNORED).sum()))
            for which, said in enumerate(read)
        ]
        return torch.stack(losses).mean()
