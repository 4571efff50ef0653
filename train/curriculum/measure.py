"""Held-out accuracy while training: samples that are never trained on, right where every token of the answer is.

Greedy decoding gives exactly the answer if and only if every token of it, the end included, is the likeliest one after
those before; so one pass decides it.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from accelerate import Accelerator

from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.curriculum.learner import Learner, Outcome
from magicvl.train.curriculum.packing import Row
from magicvl.train.samples.sample import CATEGORIES

Counts = dict[str, tuple[int, int]]
"""Right answers and answers, by category."""


def measure(accelerator: Accelerator, learner: Learner, rows: Sequence[Row], blank: Row) -> tuple[Counts, float]:
    """Counts over all processes, and the mean loss of an answer token in nats; all processes call it.

    FSDP lets none of them pass through the model alone, so one with fewer rows looks at the blank one.
    """
    most = max(accelerator.gather(torch.tensor([len(rows)], device=accelerator.device)).tolist())
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    loss = tokens = 0.0
    learner.eval()
    with torch.no_grad():
        for row in [*rows, *[blank] * (most - len(rows))]:
            outcome = learner(row)
            loss, tokens = loss + float(outcome.answers), tokens + row.answers
            for category, is_right in zip(row.categories, _answers(row, outcome), strict=True):
                asked[category] += 1
                right[category] += is_right
    learner.train()
    counts = [[right[name], asked[name]] for name in CATEGORIES]
    table = torch.tensor([*counts, [loss, tokens]], dtype=torch.float64, device=accelerator.device)
    sums = accelerator.reduce(table).tolist()
    found: Counts = {
        name: (int(hits), int(total)) for name, (hits, total) in zip(CATEGORIES, sums, strict=False) if total
    }
    return found, float(sums[-1][0] / max(1.0, sums[-1][1]))


def _answers(row: Row, outcome: Outcome) -> list[bool]:
    """Whether each answer of a row is wholly right."""
    turns = row.turns[row.labels != IGNORED]
    hits = outcome.right.cpu()
    return [bool(hits[turns == turn].all()) for turn in range(len(row.categories))]
