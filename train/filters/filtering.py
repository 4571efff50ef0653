"""Filters a source of samples into a folder, one sample at a time, from where a run before left off."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from magicvl.errors import PictureError, SampleError, UsageError
from magicvl.train.filters.decisions import Decision, Decisions
from magicvl.train.filters.examine import UNREADABLE, Examiner
from magicvl.train.filters.report import Tally
from magicvl.train.samples.source import Stream
from magicvl.train.samples.writer import Writer


def filter_samples(
    stream: Stream,
    folder: Path,
    examiner: Examiner,
    writer: Writer | None,
    *,
    count: int | None = None,
    progress: Callable[[Tally], None] = lambda tally: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Tally, bool]:
    """Decides about the first `count` samples, all of them where that is None, and writes those that stay.

    Without a writer what stays is only named, in the folder's decisions. Returns what was decided, earlier runs
    included, and whether that is all. Raises MagicVLError; the same call goes on from there.
    """
    tally = Tally()
    with ExitStack() as owned:
        decisions = Decisions(folder)
        owned.callback(decisions.close)
        if writer is not None:
            owned.callback(writer.close)
        _resume(decisions, examiner, writer, tally)
        tries = stream.tries(tally.seen)
        for attempt in islice(tries, None if count is None else max(0, count - tally.seen)):
            decision, sample = examiner.decide(attempt, tally.seen + 1)
            if sample is not None and writer is not None:
                try:
                    writer.add(sample)
                except (SampleError, PictureError) as error:
                    decision = Decision(sample.id, sample.source, UNREADABLE, str(error))
            decisions.add(decision)
            tally.add(decision)
            progress(tally)
            if stopped():
                return tally, False
        if writer is not None and tally.kept:
            writer.finish()
    return tally, True


def _resume(decisions: Decisions, examiner: Examiner, writer: Writer | None, tally: Tally) -> None:
    """Takes over what an earlier run decided, as far as what it kept is safe with the writer."""
    kept = sum(decision.rule is None for decision, _ in decisions.read())
    if writer is not None:
        writer.cut(kept)
    safe = kept if writer is None else min(kept, writer.count)
    end = 0
    for decision, behind in decisions.read():
        if decision.rule is None and tally.kept == safe:
            break
        examiner.remember(decision)
        tally.add(decision)
        end = behind
    decisions.cut(end)
    if writer is not None and writer.count != tally.kept:
        raise UsageError("the folder's samples and decisions do not belong together; --force begins anew")
