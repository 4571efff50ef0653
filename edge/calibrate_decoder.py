"""Measuring the decoder: what a batch takes, the more so the more stands before it, and its memory.

How much slower a batch gets by what stands before it is measured without computing all that: the keys and values of
one tile are put into the context again and again.
"""

import statistics
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from magicvl.edge.calibration import Point, rising
from magicvl.edge.decoding import BATCH
from magicvl.edge.engine import Engine
from magicvl.edge.llama import Context, Floats
from magicvl.edge.timing import Clock, median, resident

LONGEST: Final = 12.0
"""Seconds of a tile's prefill from which on a quarter of it has to do."""
QUICK: Final = 1.5
"""Seconds of a tile's prefill up to which there are more points, and depth is measured by it and not by a quarter."""
PAIRS: Final = 3
"""Times that a batch with and one without tokens before it are compared."""
DEPTH: Final = 1536
"""Tokens that stand before the batch by which depth is measured."""


@dataclass(frozen=True)
class Decoder:
    """What the decoder takes; fields as in Calibration and Memory."""

    push: tuple[Point, ...]
    depth: float
    token: float
    working: int | None
    bytes_per_token: float


def measure_decoder(engine: Engine, tile: int, clock: Clock) -> Decoder:
    """Measures the decoder of an engine whose tiles have `tile` tokens at most."""
    tile = min(tile, BATCH, max(1, engine.lock.language.context // 2))
    quarter = max(1, tile // 4)
    with engine.make_context(room_for(engine, DEPTH + 2 * tile), 2) as context:

        def measure(tokens: int, logits: bool = False) -> float:
            rows = visual_rows(engine, tokens)
            return median(lambda: context.push_embeddings(rows, logits=logits), clock, context.clear)

        measure(quarter)  # warms up
        points = {1: measure(1), quarter: measure(quarter)}
        token = measure(1, logits=True)
        if points[quarter] <= QUICK / 4:
            points |= {tokens: measure(tokens) for tokens in {max(1, tile // 16), max(1, tile // 2)} - {1, quarter}}
        largest = tile if points[quarter] * tile / quarter <= LONGEST else quarter
        points[largest] = measure(largest)
        # What was measured last is still held.
        shallow = resident()
        state = context.state(0)
        kept = state.nbytes / largest
        push = rising(list(points.items()))
        depth, deeper = _depth(context, engine, state, push, clock)
        grown = max(0.0, (resident() or 0) - (shallow or 0) - state.nbytes) / max(1, deeper)
    working = None if shallow is None else round(shallow - kept * context.size)
    return Decoder(push, depth, token, working, kept + grown)


def _depth(
    context: Context, engine: Engine, state: npt.NDArray[np.uint8], push: tuple[Point, ...], clock: Clock
) -> tuple[float, int]:
    """Seconds that a token takes more for each token before it, and how many were put there beside the first.

    It is a small difference of two long times, so what else the machine does could hide it: they are taken in pairs.
    """
    largest, seconds = push[-1]
    tokens = largest if seconds <= QUICK / PAIRS else max(point for point, _ in push if point <= max(1, largest // 4))
    rows = visual_rows(engine, tokens)
    more: list[float] = []
    held = largest
    while len(more) < PAIRS:
        context.clear()
        shallow = median(lambda: context.push_embeddings(rows), clock, context.clear)
        held = _deepened(context, state, largest, tokens)
        more.append(median(lambda: context.push_embeddings(rows), clock, lambda: context.select(0, largest)) - shallow)
    return max(0.0, statistics.median(more)) / (tokens * held), held - largest


def _deepened(context: Context, state: npt.NDArray[np.uint8], tile: int, room: int) -> int:
    """Holds nothing but copies of a tile's keys and values, up to DEPTH tokens; how many, with `room` left."""
    context.clear()
    held = tile if context.restore(0, state) else 0
    while held and held < DEPTH and held + tile + room <= context.size and context.repeat(state):
        held += tile
    return max(1, held)


def room_for(engine: Engine, tokens: int) -> int:
    """A context of so many tokens, as far as the model goes."""
    return min(engine.lock.language.context, -(-tokens // BATCH) * BATCH)


def visual_rows(engine: Engine, count: int) -> Floats:
    """Visual tokens of nothing."""
    rows: Floats = np.random.default_rng(0).standard_normal((count, engine.lock.language.width), dtype=np.float32)
    return rows * np.float32(0.02)
