"""`magicvl ask --batch`: what stands between the command line and magicvl.edge.batch."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from magicvl.ctrl_c import ctrl_c
from magicvl.edge.answer import Options
from magicvl.edge.batch_output import Output, Record, Tally, make_job
from magicvl.edge.batch_progress import progress_line
from magicvl.edge.batch_rows import Row, read_questions
from magicvl.edge.bundle import read_bundle
from magicvl.errors import UsageError

Note = Callable[[str], None]

ENGINES = ("local", "ray")
REDRAW_SECONDS = 0.1
"""Shortest time between two progress lines."""
SLOW_SECONDS = 1.0
"""A row that has taken longer shows what it is at."""


@dataclass(frozen=True)
class BatchCall:
    """The options of `ask` that only a batch has."""

    questions: Path
    output: Path
    engine: str = "local"
    """`local`: one engine in this process; `ray`: engines in Ray workers, perhaps on other machines."""
    workers: int | None = None
    """Engines of `ray`; None for one a machine."""
    force: bool = False
    """Starts anew whatever is in the output."""
    retry: bool = False
    """Asks rows again that failed in an earlier run."""
    cache: Path | None = None
    """Folder of visual tokens that other processes share."""
    cache_bytes: int | None = None
    """About what is kept in there at most."""
    runtime: str = "auto"
    """What computes, see `magicvl.edge.runtime`."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine}: there are {', '.join(ENGINES)}")
        if self.workers is not None and self.engine != "ray":
            raise UsageError("--workers has no effect without --engine ray")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: it must be at least 1")
        if self.cache is not None and self.engine == "ray":
            raise UsageError("--cache has no effect with --engine ray, whose workers have folders of their own")
        if self.runtime != "auto" and self.engine == "ray":
            raise UsageError(
                f"--runtime {self.runtime} has no effect with --engine ray, whose workers choose their own"
            )
        if self.force and self.retry:
            raise UsageError("--retry has no effect with --force, which asks every row again")


def batch_call(
    batch: Path | None,
    images: Sequence[Path] | None,
    output: Path | None,
    engine: str,
    workers: int | None,
    *,
    force: bool,
    retry: bool,
) -> BatchCall | None:
    """The batch that the options of `ask` mean, None where they mean none.

    Raises UsageError for an option that has no effect beside the others, and for one that is missing.
    """
    if batch is None:
        for name, given in (
            ("--output", output is not None),
            ("--engine", engine != "local"),
            ("--workers", workers is not None),
            ("--force", force),
            ("--retry", retry),
        ):
            if given:
                raise UsageError(f"{name} has no effect without --batch")
        return None
    if images:
        raise UsageError(f"{images[0]}: with --batch the pictures are named in its file")
    if output is None:
        raise UsageError("--batch needs --output: the file that its rows go to")
    return BatchCall(batch, output, engine, workers, force, retry)


@dataclass(frozen=True)
class BatchResult:
    """How a batch ended."""

    output: Path
    total: int
    """Rows of the input."""
    tally: Tally
    """Rows of the output, those of earlier runs among them."""
    seconds: float
    """Of this run."""

    @property
    def complete(self) -> bool:
        """Whether every row has its answer or its error."""
        return self.tally.rows == self.total

    @property
    def exit_code(self) -> int:
        """0 where every row is answered, 1 where one failed, 130 where Ctrl-C stopped it before."""
        if not self.complete:
            return 130
        return 1 if self.tally.failed else 0

    def to_json(self) -> dict[str, object]:
        """The object that `magicvl ask --batch --json` prints."""
        return {
            "output": os.fspath(self.output),
            "rows": self.total,
            "answered": self.tally.answered,
            "cut_short": self.tally.cut_short,
            "failed": self.tally.failed,
            "seconds": round(self.seconds, 3),
        }

    def to_text(self) -> str:
        """One line."""
        cut = f" ({self.tally.cut_short:,} cut short by a limit)" if self.tally.cut_short else ""
        failed = f", {self.tally.failed:,} failed" if self.tally.failed else ""
        return f"{self.output}: {self.total:,} rows, {self.tally.answered:,} answered{cut}{failed}"


def ask_batch(
    call: BatchCall, prompt: str | None, options: Options, model: Path, *, threads: int | None, note: Note
) -> BatchResult:
    """Runs a batch, or what an earlier run left of it. `prompt` is that of rows without their own.

    Ctrl-C ends it early, after the row that is being asked; at once when pressed again. Raises UsageError,
    BundleError, MagicVLError before or between rows; what goes wrong in a row is in its row.
    """
    for path in (call.output, call.output.with_name(f"{call.output.name}.job")):
        if os.path.exists(path) and os.path.exists(call.questions) and path.samefile(call.questions):
            raise UsageError(f"{path}: the rows are read from this file; give another -o")
    if call.engine == "ray":
        from magicvl.batch_ray import check_ray

        check_ray()
    questions = read_questions(call.questions, options, prompt)
    job = make_job(questions, prompt, options, read_bundle(model).lock)
    started = time.monotonic()
    numbers = {row.number for row in questions.rows}
    with Output(call.output, job, numbers, force=call.force, retry=call.retry) as output:
        _note_start(call.output, output, len(questions.rows), note)
        rows = [row for row in questions.rows if row.number not in output.done]
        with suppress(KeyboardInterrupt):
            if rows:
                _answer(rows, call, output, len(questions.rows), model, threads, note)
        result = BatchResult(call.output, len(questions.rows), output.tally, time.monotonic() - started)
    if not result.complete:
        note(f"stopped after {result.tally.rows:,} of {result.total:,} rows; the same command goes on from there")
    return result


def _note_start(path: Path, output: Output, total: int, note: Note) -> None:
    if output.mended:
        note(f"{path}: took off a last row that was cut short; it is asked again")
    if output.done:
        failed = f", {output.tally.failed:,} of them failed: --retry asks those again" if output.tally.failed else ""
        note(f"{path}: {len(output.done):,} of {total:,} rows are there already{failed}")


def _answer(
    rows: list[Row], call: BatchCall, output: Output, total: int, model: Path, threads: int | None, note: Note
) -> None:
    """Asks the rows and adds them to the output, until Ctrl-C."""
    from magicvl.edge.batch import write_rows

    board = _Board(output, total, note)
    with ExitStack() as stack:
        records = stack.enter_context(_records(rows, call, model, threads, board))
        stopped = stack.enter_context(ctrl_c("\nmagicvl: stopping after this row; Ctrl-C again stops at once\n"))
        stack.callback(board.clear)
        board.draw()
        write_rows(records, output, board.tell, stopped)


@contextmanager
def _records(
    rows: list[Row], call: BatchCall, model: Path, threads: int | None, board: "_Board"
) -> Iterator[Iterable[Record]]:
    """The output's rows, as they are computed."""
    if call.engine == "ray":
        from magicvl.batch_ray import answer_on_ray

        with closing(answer_on_ray(rows, model, workers=call.workers, threads=threads)) as records:
            yield records
        return
    from magicvl.edge.batch import answer_rows
    from magicvl.edge.engine import Engine

    with Engine(model, threads=threads, cache=call.cache, cache_bytes=call.cache_bytes, runtime=call.runtime) as engine:
        yield answer_rows(engine, rows, board.stage)


class _Board:
    """The progress line on stderr where that is a terminal; failed rows are noted everywhere."""

    def __init__(self, output: Output, total: int, note: Note) -> None:
        self._output = output
        self._total = total
        self._note = note
        self._before = output.tally.rows
        self._started = time.monotonic()
        self._drawn = 0.0
        self._row_began = self._started
        self._terminal = sys.stderr.isatty()

    def tell(self, record: Record) -> None:
        """A row is on disk."""
        if "error" in record:
            name = f" ({record['id']})" if "id" in record else ""
            self._note(f"row {record['row']}{name} failed: {record['error']}")
        self.draw()
        self._row_began = time.monotonic()

    def stage(self, what: str, done: int, total: int) -> None:
        """The current row is at this tile or prompt token: shown where a row takes its time."""
        if done < total and time.monotonic() - self._row_began > SLOW_SECONDS:
            self.draw(f"{what} {done + 1:,} of {total:,}")

    def draw(self, stage: str = "") -> None:
        """Draws the line anew, not too often."""
        now = time.monotonic()
        if not self._terminal or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        line = progress_line(self._output.tally, self._total, self._before, now - self._started, stage)
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
