"""Measuring what a machine takes for a bundle: a few tiles, a few batches, a few files; some seconds in all."""

import io
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from magicvl.edge.answer import Options, drain
from magicvl.edge.calibrate_decoder import measure_decoder, room_for, visual_rows
from magicvl.edge.calibration import Calibration, Memory, Point, rising
from magicvl.edge.engine import Engine
from magicvl.edge.memory import first_context
from magicvl.edge.noise import noise
from magicvl.edge.pixels import open_picture
from magicvl.edge.plan import Grid, plan
from magicvl.edge.request import open_and_cut
from magicvl.edge.threads import default_threads, thread_counts
from magicvl.edge.timing import Clock, median, resident
from magicvl.errors import UsageError

PATIENCE: Final = 4.0
"""Seconds after which the points that there are have to do."""
QUICK: Final = 1.5
"""Seconds of a tile up to which it is what thread counts are compared by; a quarter of it where it takes longer."""
FORMATS: Final = ("JPEG", "PNG", "WEBP")


def calibrate(
    bundle: str | os.PathLike[str], *, threads: int | None = None, clock: Clock = time.perf_counter
) -> Calibration:
    """Measures a bundle with so many threads, None for the fastest of those that can be the fastest.

    Loads the bundle once for each count. Raises BundleError, EngineError, UsageError.
    """
    first = default_threads() if threads is None else threads
    found = _measured(bundle, first, clock)
    if threads is not None:
        return found
    tokens = _compared(found)
    trials = dict(found.trials)
    for count in thread_counts():
        if count not in trials:
            with Engine(bundle, threads=count, memory_bytes=0) as engine:
                trials[count] = _trial(engine, tokens, clock)
    best = min(trials, key=lambda count: trials[count])
    if best != first:
        # Memory is told from a process that has not loaded anything before.
        found = replace(_measured(bundle, best, clock), memory=found.memory)
    return replace(found, trials=tuple(sorted(trials.items())))


def _measured(bundle: str | os.PathLike[str], threads: int, clock: Clock) -> Calibration:
    with Engine(bundle, threads=threads, memory_bytes=0) as engine:
        loaded = resident()
        shapes = _shapes(engine.lock.grid)
        first = _first(engine, shapes[0], clock)
        # Its context would stand beside the one that is measured.
        engine.sequences.close()
        tile = _tiles(engine, shapes, clock)
        decoder = measure_decoder(engine, shapes[-1].tokens, clock)
        opening = {kind: _opening(engine, kind, clock) for kind in FORMATS}
    memory = None
    if loaded is not None and decoder.working is not None:
        memory = Memory(loaded, max(loaded, decoder.working), decoder.bytes_per_token)
    found = Calibration(
        threads, ((threads, 0.0),), tile, decoder.push, decoder.depth, decoder.token, opening, *first, memory
    )
    tokens = _compared(found)
    return replace(found, trials=((threads, found.encode_s(tokens) + found.push_s(tokens, 0)),))


@dataclass(frozen=True)
class _Shape:
    """A picture of one tile."""

    side: int
    """Of the picture, in px."""
    budget: int
    tokens: int


def _shapes(grid: Grid) -> list[_Shape]:
    """Pictures of one tile, from the smallest that this model takes to the largest."""
    found: dict[int, _Shape] = {}
    for share in (0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1):
        budget = max(1, round(share * grid.tile_tokens))
        try:
            made = plan(grid.tile, grid.tile, grid, budget)
        except UsageError:
            continue
        if len(made.tile_boxes) == 1:
            found[made.tokens] = _Shape(grid.tile, budget, made.tokens)
    return [found[tokens] for tokens in sorted(found)]


def _patient(sizes: Iterable[int], measure: Callable[[int], float]) -> tuple[Point, ...]:
    """Points for the smallest and the largest size, and for those between as long as patience lasts."""
    ordered = sorted(set(sizes))
    ends = sorted({ordered[0], ordered[-1]})
    points = [(size, measure(size)) for size in ends]
    until = time.monotonic() + PATIENCE - sum(seconds for _, seconds in points)
    for size in ordered[1:-1]:
        if time.monotonic() < until:
            points.append((size, measure(size)))
    return rising(points)


def _compared(found: Calibration) -> int:
    """Tokens of the tile by which thread counts are compared."""
    tokens = found.tile[-1][0]
    return tokens if found.encode_s(tokens) + found.push_s(tokens, 0) <= QUICK else max(1, tokens // 4)


def _trial(engine: Engine, tokens: int, clock: Clock) -> float:
    """Seconds of a tile of about so many tokens and its prefill."""
    shape = min(_shapes(engine.lock.grid), key=lambda each: abs(each.tokens - tokens))
    engine.embed(noise((shape.side, shape.side)), shape.budget)  # warms up
    seconds = _tile(engine, shape, clock)
    with engine.make_context(room_for(engine, shape.tokens), 1) as context:
        context.push_embeddings(visual_rows(engine, max(1, shape.tokens // 4)))
        rows = visual_rows(engine, shape.tokens)
        return seconds + median(lambda: context.push_embeddings(rows), clock, context.clear)


def _first(engine: Engine, shape: _Shape, clock: Clock) -> tuple[float, float, float]:
    """What the first picture and prompt take more than the second, what making a context takes, and what the decoder
    takes more for the first of two equal requests; nothing is kept."""
    picture = noise((shape.side, shape.side))
    encode = _more(lambda: engine.embed(picture, shape.budget), clock)
    begun = clock()
    engine.make_context(first_context(engine.lock), 1).close()
    context = clock() - begun

    (preparing, answering), (again, other) = (_asked(engine, picture, shape, clock) for _ in range(2))
    # The first of them makes its context too.
    return encode + max(0.0, preparing - again), context, max(0.0, answering - other - context)


def _asked(engine: Engine, picture: Image.Image, shape: _Shape, clock: Clock) -> tuple[float, float]:
    """Seconds of a question until its prompt is ready to be read, and after that."""
    begun = clock()
    pieces = engine.start(picture, "What is this?", Options(max_tokens=1, budget=shape.budget))
    ready = clock()
    drain(pieces)
    engine.sequences.forget()
    return ready - begun, clock() - ready


def _more(act: Callable[[], object], clock: Clock) -> float:
    """Seconds that something takes the first time more than the second."""
    taken = []
    for _ in range(2):
        begun = clock()
        act()
        taken.append(clock() - begun)
    return max(0.0, taken[0] - taken[1])


def _tile(engine: Engine, shape: _Shape, clock: Clock) -> float:
    picture = noise((shape.side, shape.side))
    return median(lambda: engine.embed(picture, shape.budget), clock)


def _tiles(engine: Engine, shapes: list[_Shape], clock: Clock) -> tuple[Point, ...]:
    by_tokens = {shape.tokens: shape for shape in shapes}
    return _patient(by_tokens, lambda tokens: _tile(engine, by_tokens[tokens], clock))


def _opening(engine: Engine, kind: str, clock: Clock) -> float:
    """Seconds a megapixel from a file to tiles."""
    file = io.BytesIO()
    picture = noise((640, 480))
    picture.save(file, kind)
    data = file.getvalue()
    open_picture(data)
    return median(lambda: open_and_cut(data, engine.lock, None), clock) * 1e6 / (picture.width * picture.height)
