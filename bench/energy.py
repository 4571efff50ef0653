"""What a picture question costs in energy: joules a question and a token, by phase, the idle machine's share taken off.

idle | load load ... | encode encode ... | prefill ... | decode ... | question question ... | idle
     +-- a Sampler reads the source all the while; each stretch becomes one row --+
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from magicvl.bench.energy_sampler import Sampler
from magicvl.bench.energy_source import Source
from magicvl.bench.energy_trace import ENOUGH, Trace
from magicvl.bench.energy_work import IDLE, LOAD, WHOLE, Block, Job, idle, load, repeat, working
from magicvl.errors import EngineError, MagicVLError

LONGEST = 180.0
"""Seconds of a stretch at most, however slow the source is."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Phase:
    """What a part of a question takes: means of its runs."""

    name: str
    runs: int
    wall_s: float
    cpu_s: float
    tokens: float
    joules: float | None
    """What it takes more than the idle machine in the same time; None where that is not known, and so the next two."""
    joules_token: float | None
    """Of each of the tokens; None for whole questions, whose tokens are of three kinds."""
    watts: float | None
    """Mean power of the whole machine, the idle one's among it."""


@dataclass(frozen=True)
class Sustained:
    """How it changes with time: the first tenth of the questions beside the last."""

    minutes: float
    first_s: float
    """Seconds a question, and so the next."""
    last_s: float
    first_celsius: float | None
    highest_celsius: float | None


@dataclass(frozen=True)
class Energy:
    """All that was measured."""

    about: dict[str, object]
    phases: tuple[Phase, ...]
    idle_watts: float | None
    void: str | None
    """Why there are no joules though there is a source; None where there are, or no source was taken."""
    sustained: Sustained
    notes: tuple[str, ...]
    blocks: tuple[Block, ...] = field(repr=False)
    trace: Trace | None = field(repr=False)

    @property
    def unit(self) -> str:
        """What the costs are in: joules, or CPU seconds, which are none."""
        return "CPU s" if self.trace is None or self.void else "J"

    def to_json(self) -> dict[str, object]:
        """The last line that `magicvl bench energy` prints."""
        return {
            "about": self.about,
            "unit": self.unit,
            "void": self.void,
            "idle_watts": self.idle_watts,
            "step_s": None if self.trace is None else round(self.trace.step, 4),
            "phases": [asdict(phase) for phase in self.phases],
            "sustained": asdict(self.sustained),
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """A table of the phases, and what there is to say about it."""
        lines = [f"{self.about['bundle']}, pictures of {self.about['picture']}, by {self.about['source']}"]
        lines.append(f"{'':<10}{'runs':>6}{'seconds':>10}{'CPU s':>9}{'tokens':>8}{'W':>8}{'J':>9}{'J a token':>11}")
        lines += [_line(phase) for phase in self.phases]
        if self.idle_watts is not None:
            lines.append(f"idle {self.idle_watts:.2f} W, taken off; W is the whole machine's")
        lasted, celsius = self.sustained, ""
        if lasted.first_celsius is not None and lasted.highest_celsius is not None:
            celsius = f", {lasted.first_celsius:.1f} °C, {lasted.highest_celsius:.1f} °C at most"
        lines.append(
            f"questions for {lasted.minutes:.1f} min: {lasted.first_s:.2f} s each at first, "
            f"{lasted.last_s:.2f} s at last{celsius}"
        )
        if self.void:
            lines.append(f"void: {self.void}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def measure(
    job: Job,
    source: Source | None,
    *,
    seconds: float = 10.0,
    idle_seconds: float = 10.0,
    minutes: float | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Energy:
    """Measures every phase for `seconds` or as long as the source needs, and whole questions for `minutes`.

    Without a source there are CPU seconds alone. Raises BundleError, UsageError, EngineError: at once where the
    battery is being charged.
    """
    if source is None:
        done = _work(job, lambda: seconds, 0.0, minutes, progress)
        return _report(job, None, None, None, done, notes)
    if getattr(source.read(), "charging", False):
        raise EngineError(
            "a charger is connected, so the battery's readings are void: unplug it, or take --source cpu, or --meter"
        )
    with Sampler(source) as sampler:

        def long_enough() -> float:
            return min(LONGEST, max(seconds, 2 * ENOUGH * _step(source, sampler.readings)))

        done = _work(job, long_enough, max(idle_seconds, 2 * ENOUGH * source.period), minutes, progress)
    try:
        trace, void = source.trace(sampler.readings), None
    except MagicVLError as error:
        trace, void = None, str(error)
    if trace is not None and any(done.blocks[0].begin <= moment <= done.blocks[-1].end for moment in trace.charging):
        void = "a charger was connected meanwhile: measure again without one"
    return _report(job, source, trace, void, done, notes)


@dataclass(frozen=True)
class _Done:
    """What was done, and by what."""

    blocks: tuple[Block, ...]
    threads: int
    runtime: str


def _work(
    job: Job, seconds: Callable[[], float], idle_seconds: float, minutes: float | None, progress: Progress | None
) -> _Done:
    """Everything that is done, in order. `seconds` may grow as the source shows how slow it is."""
    total = 7 if idle_seconds else 5
    done = 0

    def next_is(what: str) -> None:
        nonlocal done
        if progress is not None:
            progress(what, min(done, total - 1), total)
        done += 1

    blocks = []
    if idle_seconds:
        next_is(IDLE)
        blocks.append(idle(idle_seconds))
    next_is(LOAD)
    blocks.append(load(job, seconds()))
    with working(job) as work:
        engine = work.engine
        for name, act in work.parts().items():
            next_is(name)
            blocks.append(repeat(name, act, seconds()))
        next_is(WHOLE)
        blocks.append(repeat(WHOLE, work.question, seconds() if minutes is None else 60 * minutes))
    if idle_seconds:
        next_is(IDLE)
        blocks.append(idle(idle_seconds))
    return _Done(tuple(blocks), engine.threads, type(engine.runtime).__name__)


def _step(source: Source, readings: Sequence[Any]) -> float:
    """How slow the source is, as far as it can be told yet."""
    try:
        return source.trace(list(readings)).step
    except MagicVLError:
        return source.period


def _report(
    job: Job,
    source: Source | None,
    trace: Trace | None,
    void: str | None,
    done: _Done,
    notes: Sequence[str],
) -> Energy:
    usable, blocks = None if void else trace, done.blocks
    resting = [block for block in blocks if block.name == IDLE]
    idle_watts = _idle_watts(usable, resting)
    phases = tuple(_phase(block, usable, idle_watts) for block in blocks if block.name != IDLE)
    whole = next(block for block in blocks if block.name == WHOLE)
    said = [*notes, *(usable.notes if usable else ())]
    if source is None:
        said.append("nothing here tells of energy: CPU seconds are what is left, and they are no joules")
    if len(phases) < 5:
        said.append("a llama-server does the work: the parts of a question can't be done alone; --runtime inproc can")
    if usable is not None and idle_watts is None:
        said.append("the idle machine's power is not known, so there are no joules: measure with a longer --idle")
    for phase in phases:
        if usable is not None and phase.watts is None:
            said.append(f"{phase.name}: the source moves every {usable.step:.2g} s, or was silent: no joules for it")
    about: dict[str, object] = {
        "bundle": job.bundle.name,
        "picture": f"{job.size[0]} x {job.size[1]} px",
        "source": "CPU seconds" if source is None else source.about,
        "threads": done.threads,
        "runtime": done.runtime,
    }
    lasted = _sustained(whole, trace)
    return Energy(about, phases, idle_watts, void, lasted, tuple(said), blocks, trace)


def _idle_watts(trace: Trace | None, resting: Sequence[Block]) -> float | None:
    """Mean power of the idle stretches that the source can tell."""
    if trace is None:
        return None
    found = [(trace.between(block.begin, block.end), block.seconds) for block in resting]
    known = [(joules, seconds) for joules, seconds in found if joules is not None]
    return sum(joules for joules, _ in known) / sum(seconds for _, seconds in known) if known else None


def _phase(block: Block, trace: Trace | None, idle_watts: float | None) -> Phase:
    runs = len(block.moments)
    drawn = None if trace is None else trace.between(block.begin, block.end)
    joules = None if drawn is None or idle_watts is None else drawn - idle_watts * block.seconds
    return Phase(
        block.name,
        runs,
        sum(end - begin for begin, end in block.moments) / runs,
        block.cpu_s / runs,
        block.tokens / runs,
        None if joules is None else joules / runs,
        joules / block.tokens if joules is not None and block.tokens and block.name != WHOLE else None,
        None if drawn is None else drawn / block.seconds,
    )


def _sustained(whole: Block, trace: Trace | None) -> Sustained:
    seconds = [end - begin for begin, end in whole.moments]
    tenth = max(1, len(seconds) // 10)
    warm = [celsius for moment, celsius in trace.celsius if whole.begin <= moment <= whole.end] if trace else []
    return Sustained(
        whole.seconds / 60,
        sum(seconds[:tenth]) / tenth,
        sum(seconds[-tenth:]) / tenth,
        warm[0] if warm else None,
        max(warm, default=None),
    )


def _line(phase: Phase) -> str:
    def number(value: float | None, width: int, digits: int) -> str:
        return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"

    return (
        f"{phase.name:<10}{phase.runs:>6}{phase.wall_s:>10.4f}{phase.cpu_s:>9.4f}{phase.tokens:>8.1f}"
        f"{number(phase.watts, 8, 2)}{number(phase.joules, 9, 4)}{number(phase.joules_token, 11, 5)}"
    )
