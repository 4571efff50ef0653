"""What a first look at pictures will take, by a calibration: seconds, memory, and the budget that some seconds allow.

What a cache knows already, or a conversation has read, takes less.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Final

from magicvl.edge.answer import Options
from magicvl.edge.bundle import Lock
from magicvl.edge.calibration import Calibration, Memory
from magicvl.edge.pixels import Header
from magicvl.edge.plan import Plan, plan
from magicvl.edge.prompt import Picture, Pieces, Spoken, Text, Tile, expand
from magicvl.edge.sequences import whole_steps
from magicvl.edge.tile_cache import MEMORY_BYTES
from magicvl.errors import UsageError

QUESTION: Final = 32
"""Tokens of a short question and the chat template's frame."""
FRAME: Final = 10
"""Tokens of a chat template around a question, about."""
ANSWER: Final = Options().max_tokens
"""Tokens of the longest answer where nothing else is said."""
OPENED: Final = 12
"""Bytes that a pixel of a file takes while it is opened: Pillow's four, in up to three copies."""


@dataclass(frozen=True)
class Prediction:
    """What a question about pictures takes in a process of its own."""

    encode_s: float
    """Seconds from files to visual tokens."""
    context_s: float
    """Seconds to make the decoder's context."""
    prefill_s: float
    """Seconds that the decoder takes to read them and a short question."""
    token_s: float
    """Seconds of each token of the answer."""
    peak_bytes: int | None
    """Most resident memory in bytes; None where the system does not tell."""

    @property
    def seconds(self) -> float:
        """Until the answer begins, loading not counted."""
        return self.encode_s + self.context_s + self.prefill_s

    def to_json(self) -> dict[str, float | None]:
        """The object `predicted` of `magicvl plan --json`."""
        return {
            "encode_s": round(self.encode_s, 4),
            "context_s": round(self.context_s, 4),
            "prefill_s": round(self.prefill_s, 4),
            "token_s": round(self.token_s, 5),
            "peak_mib": None if self.peak_bytes is None else round(self.peak_bytes / 2**20, 1),
        }


def predict(
    calibration: Calibration,
    lock: Lock,
    pictures: Sequence[Header],
    plans: Sequence[Plan],
    question: int = QUESTION,
    answer: int = ANSWER,
) -> Prediction:
    """What a first question of `question` tokens about pictures that are cut by `plans` takes.

    Memory is that of room for `answer` tokens.
    """
    encode = calibration.first_encode
    for picture, planned in zip(pictures, plans, strict=True):
        encode += calibration.opening_s(picture.width, picture.height, picture.kind)
        encode += sum(map(calibration.encode_s, planned.tile_tokens))
    prefill, position = calibration.first_prefill, 0
    for tokens in _pushes(plans, lock.pieces, question):
        prefill += calibration.push_s(tokens, position)
        position += tokens
    last = max(0.0, calibration.token - calibration.push_s(1, 0))
    memory = calibration.memory
    return Prediction(
        encode,
        calibration.first_context,
        prefill + last,
        calibration.token + calibration.depth * position,
        None if memory is None else _peak(memory, lock, pictures, plans, position + answer),
    )


def largest_budget(
    seconds: float, calibration: Calibration, lock: Lock, pictures: Sequence[Header], question: int = QUESTION
) -> tuple[int | None, list[Plan], Prediction]:
    """The largest budget with which the answer begins within `seconds`, None for none; the plans, and what they take.

    Raises UsageError where the smallest budget takes longer.
    """
    if not (isfinite(seconds) and seconds > 0):
        raise UsageError(f"{seconds:g} seconds: it must be above 0")
    made = None
    for budget, plans in _budgets(lock, pictures):
        made = predict(calibration, lock, pictures, plans, question)
        if made.seconds <= seconds:
            return budget, plans, made
    least = made.seconds if made else 0.0
    raise UsageError(
        f"within {seconds:g} s: even the fewest visual tokens take about {least:.3g} s here; allow more, or take a "
        f"smaller model"
    )


def question_tokens(prompt: str) -> int:
    """About how many tokens a question and the chat template's frame are."""
    return FRAME + len(prompt.encode("utf-8", "replace")) // 4


def _budgets(lock: Lock, pictures: Sequence[Header]) -> Iterator[tuple[int | None, list[Plan]]]:
    """Each budget that makes other plans than the next larger one, the largest first; no budget before all."""
    budget = None
    while budget is None or budget > 0:
        try:
            plans = [plan(each.width, each.height, lock.grid, budget) for each in pictures]
        except UsageError:
            # Below what fixed tiles take at least.
            if budget is None:
                raise
            return
        most = max(each.tokens for each in plans)
        yield None if budget is None else most, plans
        budget = most - 1


def _pushes(plans: Sequence[Plan], pieces: Pieces, question: int) -> list[int]:
    """Tokens of each llama_decode, as the engine feeds them: the runs of words and each tile."""
    segments: list[Text | Picture | Spoken] = [*map(Picture, range(len(plans))), Text("", special=False)]
    runs: list[tuple[bool, int]] = []
    for segment in expand(segments, plans, pieces):
        if isinstance(segment, Tile):
            runs.append((True, plans[segment.picture].tile_tokens[segment.tile]))
        elif isinstance(segment, Text):
            runs.append((False, _token_count(segment.text)))
    runs.append((False, question))
    pushes = [0]
    for (before, _), (tile, tokens) in pairwise([(True, 0), *runs]):
        if tile or before:
            pushes.append(0)
        pushes[-1] += tokens
    return [tokens for tokens in pushes if tokens]


def _token_count(text: str) -> int:
    """About how many tokens a piece of the prompt is: what stands in angle brackets is one, and so is a digit."""
    return len(re.findall(r"<[^<>]*>|\d|[^<\d]{1,4}|<", text))


def _peak(memory: Memory, lock: Lock, pictures: Sequence[Header], plans: Sequence[Plan], tokens: int) -> int:
    opened = max((each.width * each.height for each in pictures), default=0) * OPENED
    tiles = sum(3 * lock.grid.unit**2 * each.tokens for each in plans)
    kept = min(MEMORY_BYTES, sum(4 * lock.language.width * each.tokens for each in plans))
    room = whole_steps(tokens)
    context = memory.token * min(room, lock.language.context)
    return round(max(memory.loaded + opened + tiles, memory.working + tiles + kept + context))
