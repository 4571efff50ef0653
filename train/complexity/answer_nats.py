"""The loss of a conversation's answers under a causal model, in nats. Needs torch."""

import inspect
from typing import Any

import torch
import torch.nn.functional as F

from magicvl.train.complexity.conversation import Encoded

Answer = tuple[float, int]
"""Nats of all its tokens together, and how many tokens."""


@torch.inference_mode()
def answer_nats(model: Any, encoded: Encoded, **pictures: torch.Tensor) -> list[Answer]:
    """Of each answer, given all that stands before it; an answer at the very start has nothing and loses its first.

    `model` is one of transformers' with an output head, `pictures` what its processor gives beside the ids. Logits are
    computed for the answers alone where the model can.
    """
    places = [place for begin, end in encoded.answers for place in range(max(1, begin), end)]
    if not places:
        return [(0.0, 0) for _ in encoded.answers]
    ids = torch.tensor([encoded.ids], device=model.device)
    before = torch.tensor(places, device=model.device) - 1
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits = model(input_ids=ids, logits_to_keep=before, use_cache=False, **pictures).logits[0]
    else:
        logits = model(input_ids=ids, use_cache=False, **pictures).logits[0, before]
    nats = F.cross_entropy(logits.float(), ids[0, before + 1], reduction="none").tolist()
    answers: list[Answer] = []
    for begin, end in encoded.answers:
        count = end - max(1, begin) if end > begin else 0
        answers.append((sum(nats[:count]), count))
        nats = nats[count:]
    return answers
