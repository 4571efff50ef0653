"""`magicvl bench video`: what stands between the command line and magicvl.bench.video."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.bench_accuracy_command import check_folder
from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.bench.accuracy.answers import Answers, Kept
    from magicvl.bench.video.examples import Example
    from magicvl.bench.video.results import Results
    from magicvl.bench.video.runs import Run
    from magicvl.bench.video.score import ScoredRun
    from magicvl.bench.video.suite import VideoSuite
    from magicvl.bench.video.texts import Said
    from magicvl.bench.video.tools import Tools

    Texts = dict[tuple[str, str], list[Said]]
    """By the run's name and the suite's."""

PACKAGES = ("scipy", "simplemma")
"""That every suite is scored with."""
Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class VideoCall:
    """The options of `magicvl bench video`."""

    runs: tuple[str, ...]
    suites: tuple[str, ...]
    films: int | None
    """Of each suite; None for what is usual there."""
    videos: Path | None
    skip_missing: bool
    frames: int
    """Of each film."""
    budget: int | None
    max_tokens: int
    threads: int | None
    judge: str
    """What says of texts what is right: words, embedding, a GGUF file or an endpoint."""
    verdicts: Path | None
    """Folder of a language model's verdicts; None for the usual one."""
    examples: int
    sheet: Path | None
    figure: Path | None
    resume: Path | None
    """Where texts are kept."""
    force: bool
    as_json: bool


def bench_video(call: VideoCall, note: Note, progress: Progress | None) -> None:
    """Measures and prints; with JSON the one line is an object. Raises UsageError before any film is looked at."""
    from magicvl.bench.video.runs import parse_runs
    from magicvl.bench.video.tools import open_tools

    runs = parse_runs(call.runs)
    _check(call, runs)
    verdicts = _verdicts(call)
    suites = _suites(call, note)
    texts = _texts(call, runs, suites, note, progress)
    # A language model is loaded when no bundle is any more.
    with open_tools(call.judge, verdicts, call.threads, progress) as tools:
        scored = [_score(call, runs, suite, texts, tools, progress) for suite in suites]
    _tell(call, scored, note)


def _verdicts(call: VideoCall) -> Path | None:
    """Where a language model's verdicts are kept; nowhere for judges that are quick."""
    from magicvl.edge.files import user_folder
    from magicvl.train.rewards.open_judge import PLAIN

    if call.judge in PLAIN:
        if call.verdicts is not None:
            raise UsageError(f"--verdicts has no effect: the judge {call.judge} keeps none")
        return None
    return call.verdicts or user_folder("XDG_CACHE_HOME", ".cache") / "verdicts"


def _suites(call: VideoCall, note: Note) -> "list[VideoSuite]":
    from magicvl.bench.video.public_suite import Videos
    from magicvl.bench.video.suites import make_suites

    return make_suites(call.suites, call.films, Videos(call.videos, call.skip_missing), note)


def _texts(
    call: VideoCall, runs: "Sequence[Run]", suites: "Sequence[VideoSuite]", note: Note, progress: Progress | None
) -> "Texts":
    """What every run says of every suite. What is there is read first, so that a gap in it is found at once."""
    from magicvl.bench.accuracy.answers import Answers
    from magicvl.bench.video.texts import read_texts

    texts = {
        (run.name, suite.name): read_texts(run.path, [item.id for item in suite.items])
        for run in runs
        if run.from_texts
        for suite in suites
    }
    with Answers(call.resume) as kept:
        if call.resume is not None and len(kept):
            note(f"{call.resume}: {len(kept):,} texts are there already; what they are about is not looked at again")
        for run in runs:
            if not run.from_texts:
                texts |= _describe(call, run, suites, kept, note, progress)
    return texts


def _describe(
    call: VideoCall,
    run: "Run",
    suites: "Sequence[VideoSuite]",
    kept: "Answers",
    note: Note,
    progress: Progress | None,
) -> "Texts":
    """What a bundle says of every suite's films."""
    from magicvl.bench.video.ask import Asking, describe_suite
    from magicvl.edge.engine import Engine
    from magicvl.edge.video.asked import asked
    from magicvl.edge.video.caption import Watcher, caption

    question = asked(frames=call.frames, budget=call.budget, max_tokens=call.max_tokens)
    found = {}
    with Engine(run.path, threads=call.threads) as engine:
        watcher = Watcher(lambda stage, done, total: None, note=note)
        asking = Asking(lambda film: caption(engine, film, question, watcher), engine.lock, question, call.frames)
        for suite in suites:
            show = _shower(progress, f"{run.name}, {suite.name}")
            texts, took = describe_suite(asking, suite, run=run.name, kept=kept, progress=show)
            _note_cut(run, suite, took, note)
            found[run.name, suite.name] = texts
    return found


def _score(
    call: VideoCall,
    runs: "Sequence[Run]",
    suite: "VideoSuite",
    texts: "Texts",
    tools: "Tools",
    progress: Progress | None,
) -> "list[ScoredRun]":
    """Every run on a suite."""
    from magicvl.bench.video.score import score_run

    return [
        score_run(
            run,
            suite,
            texts[run.name, suite.name],
            tools,
            frames=call.frames,
            progress=_shower(progress, f"scoring {run.name}"),
        )
        for run in runs
    ]


def _note_cut(run: "Run", suite: "VideoSuite", took: "Sequence[Kept]", note: Note) -> None:
    cut = sum(each.finish_reason != "stop" for each in took)
    if cut:
        note(f"{run.name}, {suite.name}: {cut:,} of {len(took):,} texts were cut short by --max-tokens; they score 0")


def _tell(call: VideoCall, scored: "Sequence[Sequence[ScoredRun]]", note: Note) -> None:
    from magicvl.bench.video.examples import choose_examples
    from magicvl.bench.video.report import to_text
    from magicvl.bench.video.results import make_results

    results = [make_results(runs) for runs in scored]
    examples = [choose_examples(runs, call.examples) if call.examples else [] for runs in scored]
    _draw(call, results, examples, note)
    if call.as_json:
        told = [each.to_json() for each in results]
        shown = [[each.to_json() for each in some] for some in examples]
        print(json.dumps({"suites": told, "examples": shown}, ensure_ascii=False))
    else:
        print("\n\n".join(map(to_text, results)))


def _draw(call: VideoCall, results: "Sequence[Results]", examples: "Sequence[Sequence[Example]]", note: Note) -> None:
    if call.figure is not None:
        from magicvl.bench.video.figure import draw

        draw(results, call.figure)
        note(f"wrote {call.figure}")
    if call.sheet is not None:
        from magicvl.bench.video.sheet import write_sheet

        write_sheet([each for some in examples for each in some], call.sheet, force=call.force)
        note(f"wrote {call.sheet}")


def _shower(progress: Progress | None, what: str) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        if progress is not None:
            progress(f"{what}: film", done, total)

    return show


def _check_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} not installed: pip install 'magicvl[bench,train]' brings what scores")


def _check(call: VideoCall, runs: "Sequence[Run]") -> None:
    """Refuses what cannot be meant, before hours of captioning."""
    from magicvl.edge.bundle import read_bundle
    from magicvl.edge.draw import check_target

    _check_packages()
    for name, value in (("--frames", call.frames), ("--max-tokens", call.max_tokens)):
        if value < 1:
            raise UsageError(f"{name} {value}: it must be at least 1")
    if call.examples < 0:
        raise UsageError(f"--examples {call.examples}: it must be at least 0")
    if call.sheet is not None and not call.examples:
        raise UsageError("--sheet draws examples: say how many with --examples")
    if call.force and call.figure is None and call.sheet is None:
        raise UsageError("--force has no effect without --figure or --sheet")
    for target in (call.figure, call.sheet):
        if target is not None:
            check_target(target, force=call.force)
            check_folder(target)
    if call.resume is not None:
        check_folder(call.resume)
        if all(run.from_texts for run in runs):
            raise UsageError("--resume has no effect: all texts are there already")
    if call.figure is not None:
        from magicvl.bench.energy_figure import check_matplotlib

        check_matplotlib()
    for run in runs:
        if not run.from_texts:
            read_bundle(run.path)
