"""Words that a small decoder never met in training: their vectors are all but one, so it could not read its own words.

Where input and output share a table, training pushes the vectors of all words that are never right the same way: of
magicvl-nano's 527 words 280 (braces, quotes, rare letters) end 2.3 long and 0.2 apart. Once the output has a table of
its own, the input's can be told apart again without a change to anything that was learned.
"""

import torch

NEAR = 0.25
"""Share of a vector's length within which another counts as the same."""
MANY = 32
"""So many vectors that are the same are no accident."""


def crowded(table: torch.Tensor) -> torch.Tensor:
    """(words,) which rows of a table (words, width) have many others beside them."""
    distances = torch.cdist(table.float(), table.float())
    near: torch.Tensor = (distances < NEAR * table.float().norm(dim=1, keepdim=True)).sum(1)
    return near > MANY


def spread(table: torch.Tensor, seed: int = 0) -> int:
    """Gives crowded rows random directions, as long as the others are at the median; returns how many there were."""
    found = crowded(table)
    if found.all() or not found.any():
        return 0
    length = table[~found].float().norm(dim=1).median()
    drawn = torch.randn(int(found.sum()), table.shape[1], generator=torch.Generator().manual_seed(seed))
    table[found] = (drawn / drawn.norm(dim=1, keepdim=True) * length).to(table.dtype)
    return int(found.sum())
