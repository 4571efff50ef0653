"""Is the bundle the checkpoint? Stage by stage, on pictures of ours, with a verdict on each.

    token ids -> plan -> pixels -> patches and positions -> encoder blocks -> visual embeddings
                                                     torch's embeddings -> logits;  everything -> greedy answers

The first stage that fails is where the fault is. The decoder is judged on torch's own visual embeddings, so that a
fault in the encoder is not also called one of the decoder; the answers go all the way.

A stage passes, fails, or compared nothing. The last happens to the answers alone, where torch's own choice of every
first token is closer than what the types may cost: that shows neither a fault nor its absence, so the run does not
fail by it, and its verdict, the notes, the JSON and the lock say that nothing was compared. Every other stage
always has something to compare in a true bundle, and fails where it has not.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from magicvl.convert.bundle import replace_lock
from magicvl.convert.parity_picture import Example, examples
from magicvl.convert.reference import POSITIONS, Floats, Reference, Seen, Tile, block, open_reference
from magicvl.convert.runtime import Runtime, bundle_types
from magicvl.convert.sources import open_source
from magicvl.convert.tolerance import TOLERANCES, Tolerance
from magicvl.edge.bundle import LOCK_NAME, read_bundle
from magicvl.edge.threads import physical_cores
from magicvl.errors import BundleError

PROMPT = "What is in the picture?"
TOKENS = 8
"""Most tokens of a greedy answer."""
TEXTS = (
    "What is the total? It is 1,905.30 € (19 % VAT).",
    "Straße, naïve, Привет, мир! 東京とパリ。 안녕하세요 مرحبا नमस्ते",
    "def answer(question: str) -> int:\n\treturn len(question) * 42  # 🙂👩‍👩‍👧",
    "  two  spaces,\n\nnew lines\r\n and don't, we'll, I'M ",
    "<|im_start|>user\n<|image|><|end|></s><|endoftext|>",
)
"""Words of several scripts, code, emoji, odd spaces, and what looks like special tokens."""
PIXEL_LEVELS = 1.1
"""Most difference of a pixel in steps of 1/255: one from rounding in another order, the rest is F16's."""
TORCH_LEVELS = 2.1
"""The same where the reference resizes by torch, which rounds its weights otherwise than Pillow, once a direction."""
CERTAIN = 4.0
"""Tokens count whose lead is so many times what the types may cost: a tie has no right answer."""


@dataclass(frozen=True)
class Stage:
    """One comparison over all pictures."""

    name: str
    passed: bool | None
    """None where nothing was compared."""
    measure: str
    """What `worst`, `mean` and `limit` are."""
    worst: float
    mean: float
    limit: float
    compared: int
    """How many tokens, pixels or texts were compared."""
    where: str
    """Where the worst one is."""

    @property
    def verdict(self) -> str:
        """What people read for `passed`."""
        return "nothing compared" if self.passed is None else "ok" if self.passed else "FAIL"


@dataclass(frozen=True)
class Parity:
    """The verdict."""

    passed: bool
    """No stage failed."""
    failed_at: str | None
    """The first stage that failed: where the fault is."""
    types: dict[str, str]
    stages: list[Stage]
    pictures: list[str]
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and why."""

    def to_json(self) -> dict[str, Any]:
        """The object that `magicvl parity --json` prints and that the lock holds."""
        return asdict(self)

    def to_text(self) -> str:
        """The same for people."""
        rows: list[tuple[str, ...]] = [
            ("stage", "", "worst", "mean", "limit", "compared", "measure; where the worst is")
        ]
        for stage in self.stages:
            numbers = (f"{value:.6g}" for value in (stage.worst, stage.mean, stage.limit))
            where = f"{stage.measure}; {stage.where}" if stage.where else stage.measure
            rows.append((stage.name, stage.verdict, *numbers, f"{stage.compared:,}", where))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"note: {note}" for note in self.notes]
        kinds = f"llm {self.types['llm']}, mmproj {self.types['mmproj']}"
        unseen = [stage.name for stage in self.stages if stage.passed is None]
        but = f", but for {', '.join(unseen)}: nothing compared" if unseen else ""
        lines.append(f"passed{but} ({kinds})" if self.passed else f"failed at: {self.failed_at} ({kinds})")
        return "\n".join(lines)


def parity(
    checkpoint: str | os.PathLike[str],
    bundle: str | os.PathLike[str],
    *,
    threads: int | None = None,
    tokenizer: Path | None = None,
    pictures: Sequence[Example] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Parity:
    """Compares a bundle with the checkpoint that it was made from, and stamps the verdict into its lock.

    `tokenizer` is the directory of the tokenizer where the checkpoint has none (nanoVLM); `pictures` defaults to those
    of magicvl.convert.parity_picture. Raises CheckpointError, BundleError, EngineError where there is nothing to
    compare; a difference is no error but a stage that failed.
    """
    found = read_bundle(bundle)
    types = bundle_types(found)
    tolerances = {role: _tolerance(kind) for role, kind in types.items()}
    reference = open_reference(open_source(Path(checkpoint), tokenizer), Path(checkpoint))
    chosen = list(examples(found.lock.grid) if pictures is None else pictures)
    with Runtime(found, physical_cores() if threads is None else threads) as runtime:
        seen = []
        for i, example in enumerate(chosen):
            if progress:
                progress("picture", i, len(chosen))
            seen.append(_see(runtime, reference, example))
        stages = _stages(runtime, reference, seen, tolerances, found.lock.picture.std)
    result = _verdict(stages, types, [example.name for example in chosen], found.lock.vision.layers)
    stamp(Path(bundle), result)
    return result


def stamp(bundle: Path, result: Parity) -> None:
    """Writes the verdict into the lock's `parity`, in one step; everything else in it stays as it is."""
    data = json.loads((bundle / LOCK_NAME).read_text(encoding="utf-8"))
    replace_lock(data | {"parity": result.to_json()}, bundle)


@dataclass(frozen=True)
class _Both:
    """What both sides made of a picture; `decoder` are the runtime's logits on the reference's embeddings."""

    name: str
    ours: Seen
    theirs: Seen
    decoder: Floats | None


def _see(runtime: Runtime, reference: Reference, example: Example) -> _Both:
    theirs = reference.see(example.picture, PROMPT, TOKENS)
    ours = runtime.see(example.picture, PROMPT, TOKENS)
    embeddings = [tile.embeddings for tile in theirs.tiles]
    # With other tokens or tiles, the decoder cannot be asked the same.
    alike = [tile.embeddings.shape for tile in ours.tiles] == [each.shape for each in embeddings]
    logits = runtime.logits(example.picture, PROMPT, embeddings) if alike and ours.ids == theirs.ids else None
    return _Both(example.name, ours, theirs, logits)


def _stages(
    runtime: Runtime,
    reference: Reference,
    seen: Sequence[_Both],
    tolerances: dict[str, Tolerance],
    std: tuple[float, float, float],
) -> list[Stage]:
    cosine = tolerances["mmproj"].cosine
    names = [POSITIONS, *(block(i) for i in range(runtime.lock.vision.layers))]
    shown = [name for name in names if all(name in tile.blocks for both in seen for tile in both.ours.tiles)]
    return [
        _token_ids(runtime, reference, seen),
        _plan(seen),
        _pixels(seen, np.asarray(std), PIXEL_LEVELS if runtime.lock.grid.lfm2 is None else TORCH_LEVELS),
        *(_cosines(name, seen, partial(_block_of, name), cosine) for name in shown),
        _cosines("visual embeddings", seen, lambda tile: tile.embeddings, cosine),
        _logits(seen, tolerances["llm"].logits),
        _answers(seen, CERTAIN * (tolerances["llm"].logits + tolerances["mmproj"].logits)),
    ]


def _verdict(stages: list[Stage], types: dict[str, str], pictures: list[str], layers: int) -> Parity:
    failed = [stage.name for stage in stages if stage.passed is False]
    names = {stage.name for stage in stages}
    hidden = [name for name in (POSITIONS, *map(block, range(layers))) if name not in names]
    notes = [f"this runtime does not show {', '.join(hidden)}: a fault there fails at a later stage"] if hidden else []
    notes += [f"{stage.name}: nothing compared, {stage.where}" for stage in stages if stage.passed is None]
    return Parity(not failed, failed[0] if failed else None, types, stages, pictures, notes)


def _token_ids(runtime: Runtime, reference: Reference, seen: Sequence[_Both]) -> Stage:
    """Every token's text, then texts of many kinds, then the prompts."""
    ours, theirs = runtime.vocabulary(), reference.vocabulary()
    wrong = [f"token {i} is {ours.get(i)!r} instead of {text!r}" for i, text in theirs.items() if ours.get(i) != text]
    for text in TEXTS:
        for special in (False, True):
            if runtime.tokenise(text, special=special) != reference.tokenise(text, special=special):
                wrong.append(f"the text {text!r}")
    wrong += [
        f"the prompt of picture {both.name!r}"
        for both in seen
        # Where the plans differ, so must the prompts, and it is not their fault.
        if both.ours.ids != both.theirs.ids and _plan_of(both.ours) == _plan_of(both.theirs)
    ]
    return _count("token ids", "differences", wrong, len(theirs) + 2 * len(TEXTS) + len(seen))


def _plan(seen: Sequence[_Both]) -> Stage:
    wrong = [
        f"picture {both.name!r}: {_plan_of(both.ours)} instead of {_plan_of(both.theirs)}"
        for both in seen
        if _plan_of(both.ours) != _plan_of(both.theirs)
    ]
    return _count("plan", "pictures cut otherwise", wrong, len(seen))


def _plan_of(seen: Seen) -> list[tuple[int, int, int]]:
    """Width, height and tokens of each tile."""
    return [(*tile.size, len(tile.embeddings)) for tile in seen.tiles]


def _count(name: str, measure: str, wrong: list[str], compared: int) -> Stage:
    where = wrong[0] if wrong else ""
    return Stage(name, not wrong, measure, len(wrong), len(wrong) / max(1, compared), 0, compared, where)


def _pixels(seen: Sequence[_Both], std: Floats, levels: float) -> Stage:
    """Differences in steps of 1/255 of the picture, so that they mean the same for every mean and std."""
    parts = [
        (where, (np.abs(ours.pixels.astype(np.float64) - theirs.pixels) * 255 * std).max(2))
        for where, ours, theirs in _tiles(seen)
        if ours.pixels.shape == theirs.pixels.shape
    ]
    return _worst("pixels", "steps of 1/255", parts, levels, least=False)


def _block_of(name: str, tile: Tile) -> Floats | None:
    return tile.blocks.get(name)


def _cosines(name: str, seen: Sequence[_Both], get: Callable[[Any], Floats | None], limit: float) -> Stage:
    parts = []
    for where, ours, theirs in _tiles(seen):
        a, b = get(ours), get(theirs)
        if a is not None and b is not None and a.shape == b.shape:
            a, b = a.astype(np.float64), b.astype(np.float64)
            sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            parts.append((where, (a * b).sum(1) / np.maximum(sizes, np.finfo(float).tiny)))
    return _worst(name, "cosine of a token", parts, limit, least=True)


def _worst(name: str, measure: str, parts: list[tuple[str, Any]], limit: float, *, least: bool) -> Stage:
    """The stage of one number a token or pixel; nothing to compare is a failure."""
    if not parts:
        return Stage(name, False, measure, 0, 0, limit, 0, "no tile of the same size to compare")
    where, values = (min if least else max)(parts, key=lambda part: float((part[1].min if least else part[1].max)()))
    worst = float(values.min() if least else values.max())
    place = np.unravel_index(values.argmin() if least else values.argmax(), values.shape)
    mean = float(np.concatenate([each.ravel() for _, each in parts]).mean())
    compared = sum(each.size for _, each in parts)
    at = f"{where}, {'token' if len(place) == 1 else 'row and column'} {', '.join(str(int(i)) for i in place)}"
    return Stage(name, worst >= limit if least else worst <= limit, measure, worst, mean, limit, compared, at)


def _tiles(seen: Sequence[_Both]) -> Iterable[tuple[str, Any, Any]]:
    for both in seen:
        for i, (ours, theirs) in enumerate(zip(both.ours.tiles, both.theirs.tiles, strict=False)):
            yield f"picture {both.name!r}, tile {i}", ours, theirs


def _logits(seen: Sequence[_Both], limit: float) -> Stage:
    """A shift common to all logits changes no answer and is taken out: Q8_0 moves SmolLM2's by more than its limit."""
    errors = {
        both.name: float((both.decoder - both.theirs.logits).std() / both.theirs.logits.std())
        for both in seen
        if both.decoder is not None and both.decoder.shape == both.theirs.logits.shape
    }
    measure = "RMS difference beside a common shift, share of the spread"
    if not errors:
        return Stage("logits", False, measure, 0, 0, limit, 0, "no prompt of the same tokens to compare")
    name = max(errors, key=lambda each: errors[each])
    mean = sum(errors.values()) / len(errors)
    return Stage("logits", errors[name] <= limit, measure, errors[name], mean, limit, len(errors), f"picture {name!r}")


def _answers(seen: Sequence[_Both], certain: float) -> Stage:
    """Greedy tokens up to the first that torch itself wavers about; where that is the first of all, no verdict."""
    wrong, compared = [], 0
    for both in seen:
        for i, (token, lead) in enumerate(zip(both.theirs.answer, both.theirs.leads, strict=True)):
            if lead < certain:
                break
            compared += 1
            ours = both.ours.answer[i] if i < len(both.ours.answer) else None
            if ours != token:
                wrong.append(f"picture {both.name!r}: token {i} is {ours} instead of {token}")
                break
    stage = _count("greedy answers", "answers that differ", wrong, compared)
    if compared:
        return stage
    best = max((both.theirs.leads[0] for both in seen if both.theirs.leads), default=0.0)
    why = f"torch's first tokens lead by {best:.3g} standard deviations at most, {certain:.3g} would be certain"
    return replace(stage, passed=None, where=why)


def _tolerance(kind: str) -> Tolerance:
    if kind not in TOLERANCES:
        raise BundleError(f"no tolerance is known for the type {kind}; there are {', '.join(TOLERANCES)}")
    return TOLERANCES[kind]
