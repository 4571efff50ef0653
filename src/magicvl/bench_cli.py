"""The commands `magicvl bench ...`; each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from magicvl.command_options import Budget, Debug, Force, Json, Threads, note, print_json, progress_line
from magicvl.errors import UsageError

bench = typer.Typer(help="Measure a bundle.")

BundleOrShape = Annotated[
    str | None, typer.Argument(help="Bundle directory, or a preset: its shape. [default: the model that comes along]")
]
Width = Annotated[int, typer.Option(help="Width of the pictures in px.")]
Height = Annotated[int, typer.Option(help="Height of the pictures in px.")]
BenchThreads = Annotated[int | None, typer.Option("--threads", help="Threads of everyone. [default: physical cores]")]
ShapeType = Annotated[
    str | None, typer.Option("--llm-type", help="Type of a shape's decoder: Q4_K_M, Q8_0 or F16. [default: Q4_K_M]")
]
ShapeMmprojType = Annotated[
    str | None, typer.Option("--mmproj-type", help="Type of a shape's encoder: F16 or Q8_0. [default: F16]")
]
Keep = Annotated[
    Path | None, typer.Option(help="Folder of the shapes that were made. [default: magicvl/shapes in the user's cache]")
]
JsonOnly = Annotated[bool, typer.Option("--json", help="Print the last line alone, a JSON object.")]


@bench.command()
def accuracy(  # noqa: PLR0913, PLR0917 - each option is a parameter
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Bundle directories; several are compared. [default: the model that comes along]",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="nano; generated, a category or a dataset of the generator, style: before it for the style that is "
            "kept apart; or FILE.tsv of a public benchmark. Once for each. [default: nano]",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures",
            "--count",
            help="Pictures of nano, samples of each generated dataset, or rows of a table. [default: 200, 20, all]",
            show_default=False,
        ),
    ] = None,
    budget: Budget = None,
    misses: Annotated[int, typer.Option(help="Wrong answers to show, of each suite.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Draw them with their pictures into this PNG.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the scores as bars into this PNG.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="JSON Lines file that answers are kept in; the same command goes on.")
    ] = None,
    letters: Annotated[
        bool, typer.Option("--letters", help="Bind answers of multiple choice to the choices; no benchmark does so.")
    ] = False,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how right answers are, with 95 % intervals: on held-out generated pictures, or on a public benchmark.

    Without a suite: exact answers on pictures of shapes, of seeds, fonts and backgrounds never trained on.
    """
    from magicvl import DEFAULT_BUNDLE
    from magicvl.bench_accuracy_command import AccuracyCall, bench_accuracy

    call = AccuracyCall(
        bundles=tuple(models or [DEFAULT_BUNDLE]),
        suites=tuple(suite or ()),
        pictures=pictures,
        budget=budget,
        threads=threads,
        misses=misses,
        sheet=sheet,
        figure=figure,
        resume=resume,
        letters=letters,
        force=force,
        as_json=as_json,
    )
    bench_accuracy(call, note, progress_line())


@bench.command()
def video(  # noqa: PLR0913, PLR0917 - each option is a parameter
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[ARM[/SEED]=]MODEL]...",
            help="Bundle directories, or FILE.json(l) of texts that were generated elsewhere; several are compared, "
            "those of one arm with several seeds as one. [default: the model that comes along]",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="[SPLIT:]clips[/STYLE][@SEED]; or a file of dream, vdc or carebench. Once for each. [default: clips]",
            show_default=False,
        ),
    ] = None,
    films: Annotated[
        int | None,
        typer.Option("--films", "--count", help="Films of each suite. [default: 200 clips, all]", show_default=False),
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Directory of a benchmark's videos.", show_default=False)] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave films out whose video is not there.")
    ] = False,
    frames: Annotated[int, typer.Option(help="Frames of each film, evenly spread.")] = 8,
    budget: Annotated[
        int | None, typer.Option(help="Most visual tokens of all frames together. [default: a tile each]")
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a description.")] = 1024,
    judge: Annotated[
        str,
        typer.Option(
            help="What says whether a caption tells an event: words, embedding (both without a language model), a GGUF "
            "file, or https://HOST/v1#MODEL, whose key is read from MAGICVL_JUDGE_KEY."
        ),
    ] = "embedding",
    verdicts: Annotated[
        Path | None,
        typer.Option(help="Folder for a language model's verdicts. [default: magicvl/verdicts in the user's cache]"),
    ] = None,
    examples: Annotated[int, typer.Option(help="Films to show, from those told best to those told worst.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Draw them with what was said of them into this PNG.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw scores and differences into this PNG.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="JSON Lines file that texts are kept in; the same command goes on.")
    ] = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how well films are described, with 95 % intervals: event, action and object F1, answers, form.

    Without a suite: generated clips that no training saw, of which everything is known.
    """
    from magicvl import DEFAULT_BUNDLE
    from magicvl.bench_video_command import VideoCall, bench_video

    call = VideoCall(
        runs=tuple(models or [str(DEFAULT_BUNDLE)]),
        suites=tuple(suite or ()),
        films=films,
        videos=videos,
        skip_missing=skip_missing,
        frames=frames,
        budget=budget,
        max_tokens=max_tokens,
        threads=threads,
        judge=judge,
        verdicts=verdicts,
        examples=examples,
        sheet=sheet,
        figure=figure,
        resume=resume,
        force=force,
        as_json=as_json,
    )
    bench_video(call, note, progress_line())


@bench.command()
def speed(  # noqa: PLR0913, PLR0917 - each option is a parameter
    model: Annotated[
        str | None,
        typer.Argument(
            help="Bundle directory; or magicvl-2b, magicvl-tiny or magicvl-nano for that shape with random weights. "
            "[default: the model that comes along]"
        ),
    ] = None,
    width: Width = 640,
    height: Height = 480,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are given.")] = 5,
    totals: Annotated[
        int | None, typer.Option(help="Rounds of ten questions and of ten pictures. [default: as --rounds]")
    ] = None,
    threads: BenchThreads = None,
    llm_type: ShapeType = None,
    mmproj_type: ShapeMmprojType = None,
    keep: Keep = None,
    server_python: Annotated[
        str | None,
        typer.Option(help="A Python that has xllamacpp, llama.cpp's server. [default: MAGICVL_OTHER_PYTHON, or none]"),
    ] = None,
    as_json: JsonOnly = False,
    debug: Debug = False,
) -> None:
    """Measure what a question costs, beside bare llama.cpp, llama-cpp-python's chat handler and llama.cpp's server."""
    from magicvl.bench_command import bench_speed

    bench_speed(
        model,
        size=(width, height),
        rounds=rounds,
        totals=totals,
        threads=threads,
        llm_type=llm_type,
        mmproj_type=mmproj_type,
        keep=keep,
        server_python=server_python,
        as_json=as_json,
        note=note,
        progress=progress_line(),
    )


@bench.command()
def deployment(  # noqa: PLR0913, PLR0917 - each option is a parameter
    results: Annotated[
        Path,
        typer.Argument(help="JSON Lines file of what is measured; the same command goes on.", show_default=False),
    ],
    models: Annotated[
        list[str] | None, typer.Option(help="A row of the table; once for each. [default: all]", show_default=False)
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(help="photo, screenshot, page or icon; once for each. [default: all]", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are given.")] = 1,
    tokens: Annotated[int, typer.Option(help="Tokens of each answer.")] = 8,
    threads: BenchThreads = None,
    llm_type: ShapeType = None,
    mmproj_type: ShapeMmprojType = None,
    keep: Keep = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the table as bars into this PNG.")] = None,
    as_json: JsonOnly = False,
    debug: Debug = False,
) -> None:
    """Measure a picture question at the shape of magicvl-2b and of the models that it competes with.

    InternVL2.5-2B, SmolVLM2-2.2B and Qwen2-VL-2B run on stock llama.cpp with its own preprocessing; random weights all.
    """
    from magicvl.bench_command import bench_deployment

    code = bench_deployment(
        results,
        models=models,
        pictures=pictures,
        rounds=rounds,
        tokens=tokens,
        threads=threads,
        llm_type=llm_type,
        mmproj_type=mmproj_type,
        keep=keep,
        figure=figure,
        as_json=as_json,
        note=note,
        progress=progress_line(),
    )
    raise typer.Exit(code)


@bench.command()
def runtimes(
    model: BundleOrShape = None,
    width: Width = 640,
    height: Height = 480,
    rounds: Annotated[int, typer.Option(help="Pictures; medians are given.")] = 7,
    budget: Budget = None,
    threads: BenchThreads = None,
    as_json: JsonOnly = False,
    debug: Debug = False,
) -> None:
    """Compare what a question costs in this process and in a llama-server beside it, and whether they say the same."""
    from magicvl.bench.runtimes import compare
    from magicvl.bench_command import speed_bundle
    from magicvl.edge.threads import physical_cores

    if min(width, height, rounds, 1 if threads is None else threads) < 1:
        raise UsageError(f"{width} x {height} px, {rounds} rounds, {threads} threads: each must be at least 1")
    show = progress_line()
    found = compare(
        speed_bundle(model, None, None, None, note),
        size=(width, height),
        rounds=rounds,
        threads=physical_cores() if threads is None else threads,
        budget=budget,
        progress=lambda done, total: show("picture", done, total) if show else None,
    )
    if not as_json:
        print(found.to_text())
    print_json(found.to_json())


@bench.command(name="plan")
def bench_plan(
    model: BundleOrShape = None,
    rounds: Annotated[int, typer.Option(help="Questions about each picture; medians are given.")] = 3,
    tiles: Annotated[int | None, typer.Option(help="Leave larger pictures out. [default: the model's most]")] = None,
    threads: BenchThreads = None,
    debug: Debug = False,
) -> None:
    """Compare what plan predicts with what happens, for pictures from one tile to the most.

    Nothing else should run. The last line is JSON.
    """
    from magicvl.bench.prediction import check
    from magicvl.bench_command import speed_bundle

    if rounds < 1 or (tiles is not None and tiles < 1) or (threads is not None and threads < 1):
        raise UsageError(f"{rounds} rounds, {tiles} tiles, {threads} threads: each must be at least 1")
    bundle = speed_bundle(model, None, None, None, note)
    show = progress_line()
    found = check(
        bundle,
        rounds=rounds,
        threads=threads,
        most_tiles=tiles,
        progress=lambda done, total: show("picture", done, total) if show else None,
    )
    print(found.to_text())
    print_json(found.to_json())


@bench.command(name="energy")
def bench_energy_command(  # noqa: PLR0913, PLR0917 - each option is a parameter
    model: BundleOrShape = None,
    width: Width = 640,
    height: Height = 480,
    tokens: Annotated[int, typer.Option(help="Most tokens of each answer.")] = 32,
    seconds: Annotated[
        float, typer.Option(help="Seconds of each part of a question, repeated; more where the source is slow.")
    ] = 10.0,
    idle: Annotated[float, typer.Option(help="Seconds of doing nothing before and after, to be taken off.")] = 10.0,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of whole questions, for heat to tell. [default: as --seconds]")
    ] = None,
    source: Annotated[
        str, typer.Option(help="rapl (x86), battery (sysfs), termux (Termux:API), cpu; auto takes the first there is.")
    ] = "auto",
    meter: Annotated[
        Path | None,
        typer.Option(help="CSV that an external meter writes meanwhile: time and power, or time, voltage and current."),
    ] = None,
    meter_offset: Annotated[float, typer.Option(help="Seconds that the meter's clock is ahead of this one.")] = 0.0,
    threads: Threads = None,
    runtime: Annotated[str, typer.Option(help="What computes: inproc, server, or auto for what is there.")] = "auto",
    llm_type: ShapeType = None,
    mmproj_type: ShapeMmprojType = None,
    keep: Keep = None,
    figure: Annotated[Path | None, typer.Option(help="Draw power, temperature and costs into this PNG.")] = None,
    force: Force = False,
    as_json: JsonOnly = False,
    debug: Debug = False,
) -> None:
    """Measure joules a picture question and a token, by phase, with the idle machine's share taken off.

    A phone must be unplugged: a charger makes the readings void, and the exit code 1. Where nothing tells of energy
    there are CPU seconds, which are no joules. The last line is JSON.
    """
    from magicvl.bench_command import bench_energy

    code = bench_energy(
        model,
        size=(width, height),
        tokens=tokens,
        seconds=seconds,
        idle=idle,
        minutes=minutes,
        source=source,
        meter=meter,
        meter_offset=meter_offset,
        threads=threads,
        runtime=runtime,
        llm_type=llm_type,
        mmproj_type=mmproj_type,
        keep=keep,
        figure=figure,
        force=force,
        as_json=as_json,
        note=note,
        progress=progress_line(),
    )
    raise typer.Exit(code)
