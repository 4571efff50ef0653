"""`magicvl bench speed`, `deployment` and `energy`: what stands between the command line and magicvl.bench."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.bench.speed import Aim

Note = Callable[[str], None]
Progress = Callable[[str, int, int], None]

PYTHON_VARIABLE = "MAGICVL_OTHER_PYTHON"
"""Names an interpreter that has xllamacpp, where no option does."""


def bench_speed(  # noqa: PLR0913 - each option is a keyword
    model: str | None,
    *,
    size: tuple[int, int],
    rounds: int,
    totals: int | None,
    threads: int | None,
    llm_type: str | None,
    mmproj_type: str | None,
    keep: Path | None,
    server_python: str | None,
    as_json: bool,
    note: Note,
    progress: Progress | None,
) -> None:
    """Measures and prints; the last line is JSON. Raises UsageError, BundleError, EngineError."""
    from magicvl.bench.speed import measure
    from magicvl.edge.threads import physical_cores

    if min(*size, rounds, 1 if totals is None else totals) < 1:
        raise UsageError(f"{size[0]} x {size[1]} px, {rounds} rounds, {totals or 0} totals: each must be at least 1")
    python = server_python or os.environ.get(PYTHON_VARIABLE)
    if python is None:
        note(f"without llama.cpp's server: --server-python or {PYTHON_VARIABLE} names a Python that has xllamacpp")
    found = measure(
        speed_bundle(model, llm_type, mmproj_type, keep, note),
        size=size,
        rounds=rounds,
        totals=totals,
        threads=physical_cores() if threads is None else threads,
        server_python=python,
        progress=_telling(progress, note),
    )
    if progress is not None:
        progress("", 1, 1)
    data = {
        "about": found.about,
        "ceilings": [asdict(cost) for cost in found.ceilings],
        "costs": [asdict(cost) for cost in found.costs],
        "aims": [asdict(aim) | {"met": aim.met} for aim in found.aims],
        "encoded_from_disk": found.encoded_from_disk,
    }
    if not as_json:
        about = found.about
        print(f"{about['bundle']}, pictures of {about['picture']}, {about['threads']} threads, medians")
        print("ceilings:")
        for cost in found.ceilings:
            print(f"  {cost.case:<26} {cost.cpu_s:9.3f} CPU s {cost.wall_s:9.3f} s  {cost.tokens:6,} tokens")
        print("measured:")
        for cost in found.costs:
            tokens = f"  {cost.tokens:6,} tokens" if cost.tokens else ""
            print(f"  {cost.case:<26} {cost.cpu_s:9.3f} CPU s {cost.wall_s:9.3f} s{tokens}")
        for aim in found.aims:
            print(f"{aim.name:<48} {aim.value:7.3f}  {_bounds(aim)}".rstrip())
    print(json.dumps(data, ensure_ascii=False))


def speed_bundle(
    model: str | None, llm_type: str | None, mmproj_type: str | None, keep: Path | None, note: Note
) -> Path:
    """The bundle that is named, or the shape of the preset that is; the default for None. Raises UsageError."""
    from magicvl import DEFAULT_BUNDLE
    from magicvl.mmproj.presets import PRESETS

    if model in PRESETS and not Path(model).is_dir():
        # A phone that measures a bundle has not what makes one.
        from magicvl.bench.shape_bundle import LLM_TYPE, MMPROJ_TYPE, shape_bundle, shapes_folder

        folder = keep or shapes_folder()
        bundle = shape_bundle(PRESETS[model], folder, llm=llm_type or LLM_TYPE, mmproj=mmproj_type or MMPROJ_TYPE)
        note(f"{model} is a shape with random weights, kept in {bundle}")
        return bundle
    for option, given in (("--llm-type", llm_type), ("--mmproj-type", mmproj_type), ("--keep", keep)):
        if given is not None:
            raise UsageError(f"{option} {given} has no effect on a bundle: it is for the name of a preset")
    return DEFAULT_BUNDLE if model is None else Path(model)


def bench_deployment(  # noqa: PLR0913 - each option is a keyword
    results: Path,
    *,
    models: Sequence[str] | None,
    pictures: Sequence[str] | None,
    rounds: int,
    tokens: int,
    threads: int | None,
    llm_type: str | None,
    mmproj_type: str | None,
    keep: Path | None,
    figure: Path | None,
    as_json: bool,
    note: Note,
    progress: Progress | None,
) -> int:
    """Measures what `results` lacks, prints the table, its last line JSON; gives the exit code. Raises UsageError."""
    from magicvl.bench.deployment import Setting, measure, shares, table_models, to_text
    from magicvl.bench.pictures import TABLE_PICTURES
    from magicvl.bench.shape_bundle import LLM_TYPE, MMPROJ_TYPE, shapes_folder
    from magicvl.edge.threads import physical_cores

    if sys.platform != "linux":
        raise UsageError("bench deployment reads peak memory from /proc: it needs Linux")
    if figure is not None:
        from magicvl.bench.deployment_figure import check_matplotlib

        check_matplotlib()
    makers = table_models()
    for name in models or ():
        if name not in makers:
            raise UsageError(f"model {name!r}: there are {', '.join(makers)}")
    setting = Setting(
        physical_cores() if threads is None else threads,
        tokens,
        rounds,
        llm_type or LLM_TYPE,
        mmproj_type or MMPROJ_TYPE,
    )
    chosen = {name: make for name, make in makers.items() if not models or name in models}
    table = measure(
        chosen, list(pictures or TABLE_PICTURES), setting, keep or shapes_folder(), results, _telling(progress, note)
    )
    if progress is not None:
        progress("", 1, 1)
    if figure is not None and table.rows:
        from magicvl.bench.deployment_figure import draw

        draw(table.rows, figure)
        note(f"wrote {figure}")
    if not as_json:
        print(to_text(table.rows))
    data = {"rows": [asdict(row) for row in table.rows], "cpu_shares": shares(table.rows)}
    print(json.dumps(data, ensure_ascii=False))
    for failure in table.failures:
        note(failure)
    return 1 if table.failures else 0


def bench_energy(  # noqa: PLR0913 - each option is a keyword
    model: str | None,
    *,
    size: tuple[int, int],
    tokens: int,
    seconds: float,
    idle: float,
    minutes: float | None,
    source: str,
    meter: Path | None,
    meter_offset: float,
    threads: int | None,
    runtime: str,
    llm_type: str | None,
    mmproj_type: str | None,
    keep: Path | None,
    figure: Path | None,
    force: bool,
    as_json: bool,
    note: Note,
    progress: Progress | None,
) -> int:
    """Measures and prints, the last line JSON; gives the exit code: 1 where the readings were void.

    Raises UsageError, BundleError, EngineError.
    """
    for what, value in (("--seconds", seconds), ("--idle", idle), ("--minutes", minutes)):
        if value is not None and not (isfinite(value) and value > 0):
            raise UsageError(f"{what} {value:g}: it must be above 0")
    if min(*size, tokens, 1 if threads is None else threads) < 1:
        raise UsageError(f"{size[0]} x {size[1]} px, {tokens} tokens, {threads} threads: each must be at least 1")
    if figure is None and force:
        raise UsageError("--force without --figure: bench energy writes no other file")
    if figure is not None:
        from magicvl.bench.energy_figure import check_matplotlib
        from magicvl.edge.draw import check_target

        check_matplotlib()
        check_target(figure, force=force)
    from magicvl.bench.energy import measure
    from magicvl.bench.energy_source import find_source
    from magicvl.bench.energy_work import Job

    found_source, notes = find_source(source, meter, meter_offset)
    bundle = speed_bundle(model, llm_type, mmproj_type, keep, note)
    found = measure(
        Job(bundle, size, tokens, threads, runtime),
        found_source,
        seconds=seconds,
        idle_seconds=idle,
        minutes=minutes,
        notes=notes,
        progress=_telling(progress, note),
    )
    if progress is not None:
        progress("", 1, 1)
    if figure is not None:
        from magicvl.bench.energy_figure import draw

        draw(found, figure)
        note(f"wrote {figure}")
    if not as_json:
        print(found.to_text())
    print(json.dumps(found.to_json(), ensure_ascii=False))
    return 1 if found.void else 0


def _telling(progress: Progress | None, note: Note) -> Progress:
    """A progress line, or where there is no terminal a note at each step: some of them take many minutes."""
    return progress or (lambda what, done, total: note(f"{what} ({done + 1} of {total})"))


def _bounds(aim: "Aim") -> str:
    if aim.met is None:
        return ""
    asked = f"at most {aim.most:g}" if aim.least is None else f"{aim.least:g} to {aim.most:g}"
    floor = "" if aim.floor is None else f" (bare calls {aim.floor:.3f})"
    return f"{'reached' if aim.met else 'missed'}: {asked}{floor}"
