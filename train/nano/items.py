"""Dense supervision of answers: which of the things seen each word is about.

In "brown star left, brown ring right: 2" the word "ring" is learned, and with it any brown ring; here every position of
an answer that names places says which of the picture's 3 x 3 cells the next word is about, or that nothing is left to
tell. The encoder sees almost everything right, and telling what is next in order is what failed (LOG.md). The head is
used in training only and is no part of the model.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from magicvl.train.nano.scenes import POSITIONS

NOTHING = len(POSITIONS)
"""No cell: all is told."""
_ITEM = re.compile(rf"[a-z ]+? ({'|'.join(sorted(POSITIONS, key=len, reverse=True))})(?=,|:|$)")


def told_cells(spelled: Sequence[str]) -> list[int] | None:
    """For each token of an answer, given as text, the cell of the item that it belongs to; a comma belongs to the item
    that follows, what follows the last item to NOTHING, as does the answer's end, which comes last. None where the
    answer names no places."""
    answer = "".join(spelled)
    items = [(match.end(), POSITIONS.index(match[1])) for match in _ITEM.finditer(answer)]
    if not items:
        return None
    cells: list[int] = []
    begin = 0
    for token in spelled:
        cells.append(next((cell for end, cell in items if begin < end), NOTHING))
        begin += len(token)
    return [*cells, NOTHING]


class ItemHead(nn.Module):
    """Reads the cell off the decoder's states, by one linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, NOTHING + 1)

    def forward(self, states: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy in nats of states (rows, n, width) and cells (rows, n); those below 0 are ignored."""
        truth = cells.to(states.device).flatten()
        read = self.linear(self.norm(states)).flatten(0, 1)
        # Nothing may have a place: the mean of nothing would be no number.
        return F.cross_entropy(read, truth, reduction="sum") / max(1, int((truth >= 0).sum()))
