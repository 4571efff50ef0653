"""`magicvl plan`, and the seconds that `magicvl ask` may take: what stands between the command line and the costs."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from magicvl.edge.bundle import Lock, read_bundle
from magicvl.edge.calibration import Calibration
from magicvl.edge.calibration_file import load_calibration, save_calibration
from magicvl.edge.pixels import Header, open_picture, read_header
from magicvl.edge.plan import Grid, Plan, plan, scale_note
from magicvl.edge.prediction import QUESTION, Prediction, largest_budget, predict, question_tokens
from magicvl.errors import EngineError, MagicVLError, UsageError

Note = Callable[[str], None]


@dataclass(frozen=True)
class PlanCall:
    """What `magicvl plan` is called with."""

    images: Sequence[Path]
    model: Path
    prompt: str | None = None
    """The question, where it is known."""
    budget: int | None = None
    max_seconds: float | None = None
    threads: int | None = None
    predict: bool = True
    calibrate: bool = False
    draw: Path | None = None
    force: bool = False

    def check(self) -> None:
        """What can be known to be wrong before a file is read. Raises UsageError."""
        from magicvl.edge.draw import check_target

        check_seconds(self.max_seconds, self.budget)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads {self.threads}: it must be at least 1")
        for name, given in (
            ("--max-seconds", self.max_seconds is not None),
            ("--calibrate", self.calibrate),
            ("--threads", self.threads is not None),
            ("--prompt", self.prompt is not None),
        ):
            if given and not self.predict:
                raise UsageError(f"{name} has no effect with --no-predict")
        if self.draw is None and self.force:
            raise UsageError("--force without --draw: plan writes no other file")
        if self.draw is not None and len(self.images) > 1:
            raise UsageError(f"--draw {self.draw}: it holds one picture, {len(self.images)} are given")
        if self.draw is not None:
            check_target(self.draw, force=self.force)


@dataclass(frozen=True)
class Planned:
    """One picture."""

    path: Path
    plan: Plan
    predicted: Prediction | None


@dataclass(frozen=True)
class PlanResult:
    """What pictures become, and what they take."""

    pictures: tuple[Planned, ...]
    together: Prediction | None
    """What one question about all of them takes."""
    call: PlanCall
    budget: int | None
    """The one that was given, or that --max-seconds allows."""

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl plan --json` prints: the entry of one picture, or `images` and their sum."""
        chosen = {} if self.call.max_seconds is None else {"budget": self.budget}
        entries = [_entry(each) for each in self.pictures]
        if len(entries) == 1:
            return entries[0] | chosen
        tokens = sum(each.plan.tokens for each in self.pictures)
        return {"images": entries, "tokens": tokens} | _predicted(self.together) | chosen

    def to_text(self) -> str:
        """A few lines for each picture, and for all together."""
        texts = [_text(each) for each in self.pictures]
        if len(texts) > 1:
            tokens = f"tokens   {sum(each.plan.tokens for each in self.pictures)}"
            texts.append("\n".join([f"{len(texts)} pictures together", tokens, *_costs(self.together)]))
        return "\n\n".join(texts)


def plan_pictures(call: PlanCall, note: Note) -> PlanResult:
    """Plans pictures and, where wanted, predicts what they take. `note` writes a line to stderr.

    A machine that has not been measured is measured first. Where that fails and nobody asked for it, there is no
    prediction. Raises UsageError, PictureError, BundleError, EngineError.
    """
    call.check()
    lock = read_bundle(call.model).lock
    headers = [read_header(image) for image in call.images]
    calibration = _calibration(call, lock, note) if call.predict else None
    budget, question = call.budget, QUESTION if call.prompt is None else question_tokens(call.prompt)
    if call.max_seconds is not None and calibration is not None:
        budget = seconds_to_budget(call.max_seconds, calibration, lock, call.images, headers, question, note=note)
    pictures = []
    for image, header in zip(call.images, headers, strict=True):
        planned = _open_and_draw(image, lock.grid, budget, call, note)
        made = None if calibration is None else predict(calibration, lock, [header], [planned], question)
        pictures.append(Planned(image, planned, made))
    together = None
    if calibration is not None:
        together = predict(calibration, lock, headers, [each.plan for each in pictures], question)
    return PlanResult(tuple(pictures), together, call, budget)


def check_seconds(seconds: float | None, budget: int | None) -> None:
    """Raises UsageError for --max-seconds that cannot be meant."""
    if seconds is None:
        return
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"--max-seconds {seconds:g}: it must be above 0")
    if budget is not None:
        raise UsageError("--budget and --max-seconds both limit the visual tokens: give one of them")


def budget_for(
    seconds: float, model: Path, images: Sequence[Path], prompt: str, threads: int | None, note: Note
) -> tuple[int | None, int]:
    """The budget with which an answer to `prompt` begins within `seconds`, and the threads that do it.

    Notes every picture that is scaled down, for whatever reason. Raises UsageError where the fewest tokens take
    longer; BundleError, EngineError where the machine has to be measured and can't.
    """
    lock = read_bundle(model).lock
    headers = [read_header(image) for image in images]
    calibration = calibrated(model, lock, threads, note)
    budget = seconds_to_budget(seconds, calibration, lock, images, headers, question_tokens(prompt), note=note)
    for image, header in zip(images, headers, strict=True):
        full = plan(header.width, header.height, lock.grid)
        if (budget is None or full.tokens <= budget) and (said := scale_note(full, None)):
            note(f"{image}: {said}")
    return budget, calibration.threads


def calibrated(
    model: str | os.PathLike[str], lock: Lock, threads: int | None, note: Note, *, anew: bool = False
) -> Calibration:
    """What this machine takes for a bundle, measured where it is not known. Raises BundleError, EngineError."""
    found = None if anew else load_calibration(lock, threads)
    if found is None:
        try:
            from magicvl.edge.calibrate import calibrate
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(
                f"measuring takes llama.cpp in this process, which is not to be had ({' '.join(str(error).split())}): "
                f"install llama-cpp-python, or do without predictions"
            ) from None

        note(f"measuring what {lock.name} takes on this machine; this is done once, and lasts some seconds")
        found = calibrate(model, threads=threads)
        if not save_calibration(lock, threads, found):
            note("what was measured can't be kept, so it will be measured again: set XDG_CACHE_HOME to your own folder")
    return found


def seconds_to_budget(
    seconds: float,
    calibration: Calibration,
    lock: Lock,
    images: Sequence[Path],
    headers: Sequence[Header],
    question: int,
    *,
    note: Note,
) -> int | None:
    """The largest budget with which the answer begins within `seconds`; notes what it costs in resolution."""
    try:
        budget, plans, made = largest_budget(seconds, calibration, lock, headers, question)
    except UsageError as error:
        raise UsageError(f"--max-seconds {seconds:g}: {error}") from None
    free = [plan(each.width, each.height, lock.grid) for each in headers]
    without = predict(calibration, lock, headers, free, question)
    for image, full, less in zip(images, free, plans, strict=True):
        if full != less:
            note(
                f"{image}: {_size(less)} for --max-seconds {seconds:g}, without it {_size(full)}; "
                f"the answer begins after about {made.seconds:.2g} s instead of {without.seconds:.2g} s"
            )
    return budget


def _calibration(call: PlanCall, lock: Lock, note: Note) -> Calibration | None:
    try:
        return calibrated(call.model, lock, call.threads, note, anew=call.calibrate)
    except (MagicVLError, OSError, RuntimeError) as error:
        if call.calibrate or call.threads is not None or call.max_seconds is not None:
            raise
        note(f"no prediction: {' '.join(str(error).split())}")
        return None


def _open_and_draw(image: Path, grid: Grid, budget: int | None, call: PlanCall, note: Note) -> Plan:
    from magicvl.edge.draw import draw_plan, save_png

    picture = open_picture(image)
    planned = plan(*picture.size, grid, budget)
    if call.draw is not None:
        save_png(draw_plan(picture, planned, grid), call.draw, force=call.force)
        note(f"wrote {call.draw}")
    return planned


def _size(made: Plan) -> str:
    return f"{made.resized[0]} x {made.resized[1]} px, {made.tokens:,} visual tokens"


def _entry(each: Planned) -> dict[str, object]:
    boxes = {"tile_boxes": [list(box) for box in each.plan.tile_boxes]}
    return each.plan.to_json() | boxes | _predicted(each.predicted)


def _predicted(made: Prediction | None) -> dict[str, object]:
    return {} if made is None else {"predicted": made.to_json()}


def _text(each: Planned) -> str:
    made = each.plan
    and_overview = "" if made.overview is None else ", and an overview of the whole"
    lines = [
        f"{each.path}: {made.width} x {made.height} px",
        f"resized  {made.resized[0]} x {made.resized[1]} px",
        f"tiles    {len(made.tile_boxes)} ({made.columns} across, {made.rows} down{and_overview})",
        f"tokens   {made.tokens}",
    ]
    if made.scale != 1:
        lines.append(f"scale    {made.scale:.3f}: the picture is larger than the budget or the model's tiles allow")
    return "\n".join([*lines, *_costs(each.predicted)])


def _costs(made: Prediction | None) -> list[str]:
    """The lines of what is predicted."""
    if made is None:
        return []
    lines = [
        f"encode   {made.encode_s:.2g} s",
        f"context  {made.context_s:.2g} s",
        f"prefill  {made.prefill_s:.2g} s",
        f"answer   {1000 * made.token_s:.2g} ms a token",
    ]
    return lines if made.peak_bytes is None else [*lines, f"memory   {made.peak_bytes / 2**20:,.0f} MiB at most"]
