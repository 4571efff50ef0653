"""`magicvl bench accuracy`: what stands between the command line and magicvl.bench.accuracy."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.bench.accuracy.answers import Answers
    from magicvl.bench.accuracy.ask import Asked
    from magicvl.bench.accuracy.misses import Miss
    from magicvl.bench.accuracy.question import Suite

Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AccuracyCall:
    """The options of `magicvl bench accuracy`."""

    bundles: tuple[Path, ...]
    suites: tuple[str, ...]
    pictures: int | None
    """Of each suite; None for what is usual there."""
    budget: int | None
    threads: int | None
    misses: int
    """Failures to show, of each bundle and suite."""
    sheet: Path | None
    figure: Path | None
    resume: Path | None
    """Where answers are kept."""
    letters: bool
    """Whether choices bind answers."""
    force: bool
    as_json: bool


def bench_accuracy(call: AccuracyCall, note: Note, progress: Progress | None) -> None:
    """Measures and prints; with JSON the one line is an object. Raises UsageError before anything is asked."""
    _check(call)
    from magicvl.bench.accuracy.answers import Answers
    from magicvl.bench.accuracy.estimates import differences, estimates
    from magicvl.bench.accuracy.report import to_text
    from magicvl.bench.accuracy.suites import make_suites

    suites = make_suites(call.suites, call.pictures, bind=call.letters)
    for text in (f"{suite.name}: {each}" for suite in suites for each in suite.notes):
        note(text)
    with Answers(call.resume) as kept:
        if call.resume is not None and len(kept):
            note(f"{call.resume}: {len(kept):,} answers are there already; what they answer is not asked again")
        asked, misses = _measure(call, suites, kept, progress)
    found = [each for one in asked for each in estimates(one)]
    first = {one.suite.name: one for one in reversed(asked)}
    between = [
        each for one in asked if first[one.suite.name] is not one for each in differences(first[one.suite.name], one)
    ]
    if call.figure is not None:
        from magicvl.bench.accuracy.figure import draw

        draw(found, call.figure)
        note(f"wrote {call.figure}")
    if call.sheet is not None:
        from magicvl.bench.accuracy.sheet import write_sheet

        write_sheet(misses, call.sheet, force=call.force)
        note(f"wrote {call.sheet}")
    if call.as_json:
        data: dict[str, object] = {
            "scores": [each.to_json() for each in found],
            "misses": [each.to_json() for each in misses],
            "asked": [each.to_json() for each in asked],
        }
        if between:
            data["differences"] = [each.to_json() for each in between]
        print(json.dumps(data, ensure_ascii=False))
        return
    print(to_text(found, between))
    if len(call.bundles) > 1:
        for one in asked:
            print(f"{one.bundle}, {one.suite.name}: {one.visual_tokens:,} visual tokens")
    for miss in misses:
        print(miss.to_text())


def _measure(
    call: AccuracyCall, suites: Sequence["Suite"], kept: "Answers", progress: Progress | None
) -> tuple[list["Asked"], list["Miss"]]:
    """Each suite asked of each bundle, one bundle loaded at a time."""
    from magicvl.bench.accuracy.ask import ask_suite, bundle_names
    from magicvl.bench.accuracy.misses import Misses
    from magicvl.edge.engine import Engine

    asked: list[Asked] = []
    misses: list[Miss] = []
    for path, name in zip(call.bundles, bundle_names(list(call.bundles)), strict=True):
        with Engine(path, threads=call.threads) as engine:
            for suite in suites:
                failures = Misses(name, suite.name, call.misses)
                asked.append(
                    ask_suite(
                        engine,
                        suite,
                        bundle=name,
                        kept=kept,
                        budget=call.budget,
                        progress=_shower(progress, name, suite.name, len(call.bundles) * len(suites)),
                        watch=failures.watch,
                    )
                )
                misses += failures.some()
    return asked, misses


def _shower(progress: Progress | None, bundle: str, suite: str, runs: int) -> Callable[[int, int], None]:
    what = "picture" if runs == 1 else f"{bundle}, {suite}: picture"

    def show(done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    return show


def _check(call: AccuracyCall) -> None:
    """Refuses what cannot be meant, before minutes of asking."""
    from magicvl.edge.bundle import read_bundle
    from magicvl.edge.draw import check_target

    if call.misses < 0:
        raise UsageError(f"--misses {call.misses}: it must be at least 0")
    if call.sheet is not None and call.misses < 1:
        raise UsageError("--sheet draws failures: say how many with --misses")
    for target in (call.figure, call.sheet):
        if target is not None:
            check_target(target, force=call.force)
            check_folder(target)
    if call.force and call.figure is None and call.sheet is None:
        raise UsageError("--force has no effect without --figure or --sheet")
    if call.resume is not None:
        check_folder(call.resume)
    if call.figure is not None:
        from magicvl.bench.energy_figure import check_matplotlib

        check_matplotlib()
    for bundle in call.bundles:
        if call.bundles.count(bundle) > 1:
            raise UsageError(f"{bundle}: given twice")
        read_bundle(bundle)


def check_folder(path: Path) -> None:
    """Raises UsageError where a file has no directory to be written in."""
    with suppress(OSError):
        if path.parent.is_dir():
            return
    raise UsageError(f"{path.parent}: no such directory")
