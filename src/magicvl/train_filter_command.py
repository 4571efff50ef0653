"""`magicvl train filter`: what of a source is worth training on, and a report of what is not."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from magicvl.command_options import progress_line
from magicvl.ctrl_c import ctrl_c
from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.sample_progress import SampleProgress
from magicvl.train.filters.decisions import Decisions
from magicvl.train.filters.examine import Bench, Examiner
from magicvl.train.filters.figure import draw as draw_figure
from magicvl.train.filters.filtering import filter_samples
from magicvl.train.filters.planted import Agreement, measure, planted_pairs, usable
from magicvl.train.filters.report import Tally, to_json, to_text
from magicvl.train.filters.thresholds import Thresholds, read_thresholds
from magicvl.train.generator.dataset import Split
from magicvl.train.samples.job import claim
from magicvl.train.samples.open import open_samples
from magicvl.train.samples.source import Endless, Stream
from magicvl.train.samples.writer import Writer, is_finished, make_writer
from magicvl.train_draw_command import total_of

Note = Callable[[str], None]
Kept = Literal["llava", "webdataset", "ids"]
IDS = "kept.jsonl"


@dataclass(frozen=True)
class FilterCall:
    """The options of `train filter`."""

    spec: str
    output: Path
    count: int | None = None
    """Samples that are looked at; None for all there are."""
    kind: Kept = "llava"
    """What is written of what stays; `ids`: source and id alone."""
    judge: Path | None = None
    """A GGUF file that is asked about each sample."""
    settings: Path | None = None
    """A TOML file of thresholds."""
    seed: int = 0
    split: Split = "train"
    threads: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise UsageError(f"--count {self.count}: it must be at least 1")
        if self.threads is not None and self.judge is None:
            raise UsageError(f"--threads {self.threads} has no effect without --judge")


def filter_source(call: FilterCall, note: Note) -> tuple[Tally, tuple[Agreement, ...], int]:
    """Filters into the folder and writes the report there; returns it, and the exit code: 130 after Ctrl-C.

    Raises UsageError, SampleError, BundleError for a damaged judge, MagicVLError for one that cannot judge.
    """
    line = Thresholds() if call.settings is None else read_thresholds(call.settings)
    stream = open_samples(call.spec, call.seed, call.split)
    if isinstance(stream, Endless) and call.count is None:
        raise UsageError(f"{call.spec} has no end: say how many with --count")
    with _bench(call, line, note) as bench:
        _claim(call, line, note)
        tally, whole = _filter(stream, call, Examiner(line, bench), note)
    agreements = () if bench is None else tuple(bench.agreements)
    if not whole:
        note(f"{call.output}: stopped after {tally.seen:,} samples; the same command goes on from there")
        return tally, agreements, 130
    _finish(call, tally, agreements)
    return tally, agreements, 0


@contextmanager
def _bench(call: FilterCall, line: Thresholds, note: Note) -> Iterator[Bench | None]:
    """The judge, after it showed that it can judge."""
    if call.judge is None:
        yield None
        return
    from magicvl.train.filters.judge import WAYS, LlmJudge

    with LlmJudge(call.judge, call.threads) as judge:
        shown = progress_line()
        pairs = planted_pairs()
        agreements = [measure(judge, pairs[check], check, way, shown) for check in pairs for way in WAYS]
        for each in agreements:
            note(each.to_text())
        trusted = usable(agreements, line.judge_agreement, str(call.judge))
        used = ", ".join(f"{each.check} ({each.way})" for each in trusted)
        note(f"the judge is used for {used}; planted pairs are plain talk, so look at what it puts out of this source")
        yield Bench(judge, trusted)


def _claim(call: FilterCall, line: Thresholds, note: Note) -> None:
    job = {
        "command": "filter",
        "spec": call.spec,
        "seed": call.seed,
        "split": call.split,
        "count": call.count,
        "format": call.kind,
        "judge": None if call.judge is None else f"{call.judge.name}, {call.judge.stat().st_size:,} bytes",
        "thresholds": asdict(line),
    }
    if claim(call.output, job, force=call.force):
        note(f"{call.output}: going on where the run before left off")


def _filter(stream: Stream, call: FilterCall, examiner: Examiner, note: Note) -> tuple[Tally, bool]:
    if (call.output / "report.json").exists():
        raise UsageError(f"{call.output}: it is finished; see report.txt there, or --force to begin anew")
    progress = SampleProgress("filtered:", total_of(stream, call.count))
    with ExitStack() as owned:
        owned.callback(progress.clear)
        stopped = owned.enter_context(ctrl_c("\nmagicvl: stopping after this sample; Ctrl-C again stops at once\n"))
        return filter_samples(
            stream,
            call.output,
            examiner,
            _writer(call),
            count=call.count,
            progress=lambda tally: progress(tally.seen, f"{tally.kept:,} kept"),
            stopped=stopped,
        )


def _writer(call: FilterCall) -> Writer | None:
    """The writer; None where nothing is to be written, or all is and only the report is missing."""
    if call.kind == "ids" or is_finished(call.kind, call.output):
        return None
    return make_writer(call.kind, call.output)


def _finish(call: FilterCall, tally: Tally, agreements: tuple[Agreement, ...]) -> None:
    """Writes what stays by name, where that was wanted, and the report; report.json last, as the mark of the end."""
    if call.kind == "ids":
        with whole_file(call.output / IDS) as partial, partial.open("w", encoding="utf-8") as file:
            for row in _kept(call.output):
                file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
    draw_figure(tally, call.output / "report.png")
    with whole_file(call.output / "report.txt") as partial:
        partial.write_text(f"{to_text(tally, agreements)}\n", encoding="utf-8")
    with whole_file(call.output / "report.json") as partial:
        report = to_json(tally, agreements)
        partial.write_text(f"{json.dumps(report, indent=2, ensure_ascii=False)}\n", encoding="utf-8")


def _kept(folder: Path) -> Iterator[dict[str, str]]:
    decisions = Decisions(folder)
    try:
        for decision, _ in decisions.read():
            if decision.rule is None:
                yield {"source": decision.source, "id": decision.id}
    finally:
        decisions.close()
