"""The command `magicvl`: answers and data on stdout, progress and notes on stderr.

Every command imports what it needs when it runs: `magicvl --help` is instant, and a phone without torch
never meets it. Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

import io
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magicvl.errors import MagicVLError, UsageError

if TYPE_CHECKING:
    from magicvl.edge.answer import Answer
    from magicvl.edge.engine import Engine
    from magicvl.edge.plan import Plan

app = typer.Typer(
    name="magicvl",
    help="Ask pictures questions, on your own machine: MagicVL on llama.cpp.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

bench = typer.Typer(help="Measure a bundle.")
app.add_typer(bench, name="bench")
android = typer.Typer(help="Build for phones, and talk to one over adb.")
app.add_typer(android, name="android")


@dataclass
class State:
    """What main() has to know of the command that ran."""

    debug: bool = False


def _debug(context: typer.Context, value: bool) -> bool:
    if value and isinstance(context.obj, State):
        context.obj.debug = True
    return value


def _version(value: bool) -> None:
    if value:
        from magicvl import __version__

        typer.echo(f"magicvl {__version__}")
        raise typer.Exit


Images = Annotated[list[Path] | None, typer.Argument(help="Pictures: JPEG, PNG, WebP or GIF.", show_default=False)]
Model = Annotated[Path | None, typer.Option(help="Bundle directory. [default: the model that comes along]")]
Budget = Annotated[
    int | None,
    typer.Option(help="Most visual tokens of a picture; a larger one is scaled down. [default: no limit]"),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(help="Instead of --budget: as many visual tokens as let the answer begin within so many seconds."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_debug, is_eager=True)]
Prompt = Annotated[str | None, typer.Option("--prompt", "-p", help="What to ask.", show_default=False)]
MaxTokens = Annotated[int, typer.Option(help="Most tokens of the answer.")]
Temperature = Annotated[float, typer.Option(help="0 takes the likeliest token, more is more varied.")]
TopP = Annotated[float | None, typer.Option(help="Share of probability to sample from. [default: 1]")]
Seed = Annotated[int | None, typer.Option(help="Makes a sampled answer repeatable. [default: random]")]
Schema = Annotated[
    Path | None, typer.Option(help="A file with a JSON Schema that the answer fulfils; --json gives it parsed.")
]
Choices = Annotated[
    list[str] | None, typer.Option(help="What the answer may be; once for each choice.", show_default=False)
]
Regex = Annotated[str | None, typer.Option(help="A regular expression that the whole answer matches.")]
Threads = Annotated[
    int | None, typer.Option(help="Threads to compute with. [default: what plan measured, or the fast cores]")
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder where what was seen in pictures is kept for the next command. [default: MAGICVL_CACHE, or none]"
    ),
]
KeyType = Annotated[
    str | None,
    typer.Option(help="Type of the keys that are kept of what was read: f16, or q8_0 to save memory. [default: f16]"),
]
CacheSize = Annotated[int | None, typer.Option(help="Most MB in the folder of --cache. [default: 1074]")]
Runtime = Annotated[
    str,
    typer.Option(
        help="What computes: inproc, llama.cpp in this process; server, a llama-server beside it; auto, the first of "
        "them that is to be had."
    ),
]


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
Serial = Annotated[str | None, typer.Option(help="Which phone, as adb devices lists it. [default: the only one]")]


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Ask pictures questions, on your own machine: MagicVL on llama.cpp."""


@app.command()
def ask(  # noqa: PLR0913, PLR0917 - each option is a parameter
    images: Images = None,
    prompt: Prompt = None,
    model: Model = None,
    max_tokens: MaxTokens = 256,
    budget: Budget = None,
    temperature: Temperature = 0.0,
    top_p: TopP = None,
    seed: Seed = None,
    schema: Schema = None,
    choices: Choices = None,
    regex: Regex = None,
    threads: Threads = None,
    cache: Cache = None,
    cache_size: CacheSize = None,
    key_type: KeyType = None,
    runtime: Runtime = "auto",
    as_json: Json = False,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="A JSON Lines file of questions instead of pictures; a row has image or images (paths, relative to "
            "the file), and perhaps id, prompt, system, max_tokens, budget, meta. -p is the prompt of the others."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the rows of --batch go; the same command again goes on in it."),
    ] = None,
    engine_name: Annotated[
        str, typer.Option("--engine", help="What computes a --batch: local, or ray for workers on many machines.")
    ] = "local",
    workers: Annotated[int | None, typer.Option(help="Engines of --engine ray. [default: one a machine]")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask failed rows of an earlier --batch again.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start --batch anew, whatever is in its output.")] = False,
    max_seconds: MaxSeconds = None,
    debug: Debug = False,
) -> None:
    """Ask about one or more pictures, or with --batch about thousands.

    The answer streams to stdout as it comes; with --schema, --choices or --regex it is printed when it is whole, and
    one that does not become so is an error. The exit code of --batch is 1 where a row failed.
    """
    from magicvl import DEFAULT_BUNDLE
    from magicvl.batch_command import ask_batch, batch_call
    from magicvl.edge.answer import Options

    options = Options(max_tokens, budget, temperature, top_p, seed, schema, choices or None, regex)
    call = batch_call(batch, images, output, engine_name, workers, force=force, retry=retry)
    _check_seconds(max_seconds, budget, in_batch=call is not None)
    folder, cache_bytes = _cache(cache, cache_size, runtime)
    if call is not None:
        if key_type is not None:
            raise UsageError(f"--key-type {key_type} has no effect with --batch")
        if call.engine == "local" or cache is not None or cache_size is not None:
            call = replace(call, cache=folder, cache_bytes=cache_bytes)
        call = replace(call, runtime=runtime)
        result = ask_batch(call, prompt, options, model or DEFAULT_BUNDLE, threads=threads, note=_note)
        if as_json:
            _print_json(result.to_json())
        elif result.complete:
            print(result.to_text())
        raise typer.Exit(result.exit_code)
    if not images:
        raise UsageError("no images: name at least one, or a file of questions with --batch")
    if prompt is None:
        raise UsageError("no question: ask one with --prompt")
    from magicvl.edge.pixels import check_header

    for image in images:
        # A large model takes its time to load; a wrong name should not have to wait for it.
        check_header(image)
    if max_seconds is not None:
        from magicvl.plan_command import budget_for

        budget, threads = budget_for(max_seconds, model or DEFAULT_BUNDLE, images, prompt, threads, _note)
        options = replace(options, budget=budget)
    with _engine(model, threads, folder, cache_bytes, key_type, runtime) as engine:
        stream = engine.start(
            images,
            prompt,
            options,
            progress=_progress(),
            # With --max-seconds it was said already.
            planned=None if max_seconds is not None else lambda plans: _note_scale(images, plans, budget),
        )
        answer = _show(stream, silent=as_json or options.grammar is not None)
    if options.grammar is not None and not as_json:
        print(answer.text)
    if answer.finish_reason != "stop":
        limit = f"--max-tokens {max_tokens}" if answer.finish_reason == "length" else "the end of the context"
        _note(f"the answer stopped at {limit}; it may be cut short")
    if as_json:
        _print_json(answer.to_json())


@app.command()
def chat(  # noqa: PLR0913, PLR0917 - each option is a parameter
    images: Images = None,
    model: Model = None,
    system: Annotated[str | None, typer.Option(help="Said to the model before the first words.")] = None,
    session: Annotated[
        Path | None,
        typer.Option(help="File of the conversation: gone on with where it is there, written after every answer."),
    ] = None,
    overflow: Annotated[
        Literal["error", "drop"] | None,
        typer.Option(
            help="Where the context is full: error, or drop the oldest turns. [default: as --session, or error]"
        ),
    ] = None,
    max_tokens: MaxTokens = 256,
    budget: Budget = None,
    temperature: Temperature = 0.0,
    top_p: TopP = None,
    seed: Seed = None,
    threads: Threads = None,
    cache: Cache = None,
    cache_size: CacheSize = None,
    key_type: KeyType = None,
    runtime: Runtime = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line about what each answer took.")] = False,
    debug: Debug = False,
) -> None:
    """Talk about pictures; those named here are shown with the first words.

    /help lists the commands. Ctrl-C stops an answer, Ctrl-D leaves. Through a pipe every line is a turn or a
    command, and the exit code is 1 where one failed.
    """
    from magicvl.edge.answer import Options

    options = Options(max_tokens, budget, temperature, top_p, seed)
    folder, cache_bytes = _cache(cache, cache_size, runtime)
    from magicvl.chat_command import ChatCall
    from magicvl.chat_command import chat as talk

    call = ChatCall(images or (), options, system, session, overflow, quiet, debug)
    call.check()
    with _engine(model, threads, folder, cache_bytes, key_type, runtime) as engine:
        code = talk(call, engine, _note, _progress())
    raise typer.Exit(code)


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - each option is a parameter
    images: Annotated[list[Path], typer.Argument(help="Pictures: JPEG, PNG, WebP or GIF.", show_default=False)],
    model: Model = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="The question that will be asked. [default: a short one]")
    ] = None,
    budget: Budget = None,
    max_seconds: MaxSeconds = None,
    threads: Threads = None,
    predict: Annotated[
        bool, typer.Option(help="Say what seconds and memory a question will take.", show_default=True)
    ] = True,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Measure this machine again.")] = False,
    as_json: Json = False,
    draw: Annotated[
        Path | None, typer.Option(help="Save the picture with its tiles and tokens painted on, as PNG.")
    ] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Show how pictures are cut, and what a question about them will cost.

    The model is run once, to measure what this machine takes for it; that is kept.
    """
    from magicvl import DEFAULT_BUNDLE
    from magicvl.plan_command import PlanCall, plan_pictures

    call = PlanCall(
        images, model or DEFAULT_BUNDLE, prompt, budget, max_seconds, threads, predict, calibrate, draw, force
    )
    result = plan_pictures(call, _note)
    if as_json:
        _print_json(result.to_json())
    else:
        print(result.to_text())


@app.command()
def convert(  # noqa: PLR0913, PLR0917 - each option is a parameter
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A checkpoint: MagicVL, Idefics3, SmolVLM, LLaVA, LFM2-VL or nanoVLM.", show_default=False),
    ],
    bundle: Annotated[Path, typer.Argument(help="The bundle directory to make.", show_default=False)],
    llm_type: Annotated[
        str, typer.Option(help="Type of the decoder: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0 or IQ4_NL.")
    ] = "F16",
    mmproj_type: Annotated[str, typer.Option(help="Type of the encoder: F32, F16, BF16, Q8_0, Q5_0 or Q4_0.")] = "F16",
    adapter: Annotated[
        Path | None, typer.Option(help="Directory of a PEFT LoRA; its part of the decoder becomes lora.gguf.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge the adapter into the decoder instead.")] = False,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Directory of the tokenizer. [default: the checkpoint's own]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert a checkpoint to a bundle of GGUF files; needs no torch."""
    from magicvl.convert.bundle import convert as make_bundle
    from magicvl.convert.progress import bar

    with bar() as steps:
        report = make_bundle(
            checkpoint,
            bundle,
            llm_type=llm_type,
            mmproj_type=mmproj_type,
            adapter=adapter,
            merge=merge,
            tokenizer=tokenizer,
            force=force,
            steps=steps,
        )
    if as_json:
        _print_json(report.to_json())
    else:
        print(report.to_text())


@app.command()
def restore(
    bundle: Annotated[Path, typer.Argument(help="A bundle directory.", show_default=False)],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint directory to make.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a checkpoint that is there.")] = False,
    debug: Debug = False,
) -> None:
    """Turn a bundle back into a checkpoint in F32, to fine-tune it or to compare with it."""
    from magicvl.convert.progress import bar
    from magicvl.convert.restore import restore as make_checkpoint

    with bar() as steps:
        make_checkpoint(bundle, checkpoint, force=force, steps=steps)
    print(checkpoint)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A GGUF file or a bundle directory.", show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help="Compare a bundle's hashes; reads every byte.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show metadata, tensors, types, sizes and warnings of a GGUF file or a bundle, from its headers alone."""
    from magicvl.convert.inspection import inspect as read_headers
    from magicvl.convert.inspection import to_json, to_text

    found = read_headers(path, verify=verify)
    if as_json:
        _print_json(to_json(found))
    else:
        print(to_text(found))


@app.command()
def parity(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint directory.", show_default=False)],
    bundle: Annotated[Path, typer.Argument(help="The bundle that was made from it.", show_default=False)],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Directory of the tokenizer. [default: the checkpoint's own]")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare a bundle with its checkpoint, stage by stage; needs torch.

    The verdict goes into the bundle's lock. Exit code 1 where a stage fails.
    """
    from magicvl.convert.parity import parity as compare

    result = compare(checkpoint, bundle, threads=threads, tokenizer=tokenizer, progress=_progress())
    if as_json:
        _print_json(result.to_json())
    else:
        print(result.to_text())
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def train(
    config: Annotated[
        str,
        typer.Argument(help="A TOML file, or the name of one that comes along: magicvl-nano.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in it.")] = False,
    debug: Debug = False,
) -> None:
    """Train a model from a config.

    The directory gets checkpoint/ (for `convert`), log.jsonl and curves.png. Ctrl-C stops after the step and
    keeps a checkpoint.
    """
    from magicvl.train.config import read_config, shipped_config
    from magicvl.train.trainer import train as run_training

    path = Path(config)
    print(run_training(read_config(path if path.suffix else shipped_config(config)), output, resume=resume))


@app.command()
def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle directory to look at. [default: the model that comes along]")
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that the self-test may take.")] = 60.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what this machine is, what runs a model on it, and what to do about what is missing.

    Asks the model that comes along about a picture, in a process of its own. Exit code 1 where that fails.
    """
    from magicvl.doctor_command import doctor as examine_machine

    report = examine_machine(bundle, limit)
    if as_json:
        _print_json(report.to_json())
    else:
        print(report.to_text())
    raise typer.Exit(0 if report.answers else 1)


@android.command(name="build")
def android_build(
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="armv8, dotprod, i8mm, lib (shared libraries, by an NDK) or host (for this machine: installed, not "
            "packed); once for each. [default: the first three, and lib where ANDROID_NDK_HOME is set]",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="llama-cpp-python's source archive, or the folder it was unpacked into. [default: fetched]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The archive. [default: magicvl-android-arm64-VERSION.tar.xz]"),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the builds. [default: magicvl/android in the user's cache]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Compilers at a time. [default: one a processor]")] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Compile llama.cpp for phones and pack it with an installer; goes on where it was stopped.

    Prints the archive's name, or with --variant host the folder of the program that was installed.
    """
    from magicvl.android_command import BuildCall, build_archive

    print(build_archive(BuildCall(variant or (), source, output, work, jobs, force), _note))


@android.command(name="push")
def android_push(
    archive: Annotated[Path | None, typer.Argument(help="What android build made.", show_default=False)] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle directory to copy too.")] = None,
    serial: Serial = None,
    debug: Debug = False,
) -> None:
    """Copy to a phone: an archive, for Termux and with the programs for its processor ready to run, and a bundle."""
    from magicvl.android_command import push

    push(archive, bundle, serial, _note)


@android.command(name="run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def android_run(
    command: Annotated[
        list[str], typer.Argument(help="A pushed program, such as llama-bench, and its arguments.", show_default=False)
    ],
    serial: Serial = None,
    debug: Debug = False,
) -> None:
    """Run a pushed program on a phone; a pushed bundle is the folder bundle. The exit code is the program's."""
    from magicvl.android_command import run as run_there

    raise typer.Exit(run_there(command, serial))


@android.command(name="pull")
def android_pull(
    remote: Annotated[str, typer.Argument(help="A file on the phone.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="Where it goes: a file or a folder.")] = Path(),
    serial: Serial = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Copy a file from a phone; one without a leading / is from magicvl's folder there."""
    from magicvl.android_command import pull

    print(pull(remote, target, serial, force=force))


@bench.command()
def accuracy(
    model: Annotated[
        Path | None, typer.Argument(help="Bundle directory. [default: the model that comes along]")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Held-out pictures, each with up to eight questions.")] = 200,
    misses: Annotated[int, typer.Option(help="Wrong answers to show.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure exact answers on generated pictures of seeds, fonts and backgrounds never trained on."""
    from magicvl import DEFAULT_BUNDLE
    from magicvl.bench.accuracy import measure
    from magicvl.edge.engine import Engine

    if pictures < 1:
        raise UsageError(f"{pictures} pictures: it must be at least 1")
    show = _progress()
    with Engine(model or DEFAULT_BUNDLE) as engine:
        scores, wrong = measure(engine, pictures, lambda done, total: show("picture", done, total) if show else None)
    if as_json:
        _print_json(
            {
                "scores": [asdict(score) for score in scores],
                "misses": [asdict(miss) for miss in wrong[:misses]],
            }
        )
        return
    for score in scores:
        low, high = score.interval
        print(
            f"{score.task:<12} {100 * score.share:5.1f} %  ({100 * low:.1f} to {100 * high:.1f})  "
            f"{score.right} of {score.asked}"
        )
    for miss in wrong[:misses]:
        print(f"{miss.task:<12} picture {miss.picture}: {miss.prompt} {miss.expected!r}, answered {miss.answer!r}")


@bench.command()
def speed(  # noqa: PLR0913, PLR0917 - each option is a parameter
    model: Annotated[
        str | None,
        typer.Argument(
            help="Bundle directory; or magicvl-2b, magicvl-tiny or magicvl-nano for that shape with random weights. "
            "[default: the model that comes along]"
        ),
    ] = None,
    width: Annotated[int, typer.Option(help="Width of the pictures in px.")] = 640,
    height: Annotated[int, typer.Option(help="Height of the pictures in px.")] = 480,
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
        note=_note,
        progress=_progress(),
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
        note=_note,
        progress=_progress(),
    )
    raise typer.Exit(code)


@bench.command()
def runtimes(
    model: Annotated[
        str | None,
        typer.Argument(help="Bundle directory, or a preset: its shape. [default: the model that comes along]"),
    ] = None,
    width: Annotated[int, typer.Option(help="Width of the pictures in px.")] = 640,
    height: Annotated[int, typer.Option(help="Height of the pictures in px.")] = 480,
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
    show = _progress()
    found = compare(
        speed_bundle(model, None, None, None, _note),
        size=(width, height),
        rounds=rounds,
        threads=physical_cores() if threads is None else threads,
        budget=budget,
        progress=lambda done, total: show("picture", done, total) if show else None,
    )
    if not as_json:
        print(found.to_text())
    _print_json(found.to_json())


@bench.command(name="plan")
def bench_plan(
    model: Annotated[
        str | None,
        typer.Argument(help="Bundle directory, or a preset: its shape. [default: the model that comes along]"),
    ] = None,
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
    bundle = speed_bundle(model, None, None, None, _note)
    show = _progress()
    found = check(
        bundle,
        rounds=rounds,
        threads=threads,
        most_tiles=tiles,
        progress=lambda done, total: show("picture", done, total) if show else None,
    )
    print(found.to_text())
    _print_json(found.to_json())


@bench.command(name="energy")
def bench_energy_command(  # noqa: PLR0913, PLR0917 - each option is a parameter
    model: Annotated[
        str | None,
        typer.Argument(help="Bundle directory, or a preset: its shape. [default: the model that comes along]"),
    ] = None,
    width: Annotated[int, typer.Option(help="Width of the pictures in px.")] = 640,
    height: Annotated[int, typer.Option(help="Height of the pictures in px.")] = 480,
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
        note=_note,
        progress=_progress(),
    )
    raise typer.Exit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits; the entry point of `magicvl`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold bytes that no encoding spells.
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Errors become one line on stderr."""
    state = State()
    try:
        code = app(args=arguments, prog_name="magicvl", standalone_mode=False, obj=state)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; what is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MagicVLError, typer.TyperException) as error:
        if isinstance(error, typer.TyperException):
            return _fail(f"{error.format_message().rstrip('.')}; see --help", error.exit_code, state)
        return _fail(str(error), error.exit_code, state)
    except Exception as error:
        return _fail(f"unexpected {type(error).__name__}: {error}; --debug shows where", 1, state)


def _fail(message: str, code: int, state: State) -> int:
    """Reports the error being handled in one line; returns the exit code."""
    if state.debug:
        traceback.print_exc()
    _note(" ".join(message.split()))
    return code


def _show(stream: Any, *, silent: bool) -> "Answer":
    """Prints the pieces of an answer as they come; returns the whole of it."""
    while True:
        try:
            piece = next(stream)
        except StopIteration as end:
            if not silent:
                print(flush=True)
            answer: Answer = end.value
            return answer
        if not silent:
            print(piece, end="", flush=True)


def _progress() -> Any:
    """A progress line on stderr where that is a terminal, None elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(stage: str, done: int, total: int) -> None:
        text = "" if done == total else f"{stage} {done + 1} of {total}"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    return show


def _note(text: str) -> None:
    over = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{over}magicvl: {text}", file=sys.stderr)


def _note_scale(paths: Sequence[Path], pictures: Sequence["Plan"], budget: int | None) -> None:
    from magicvl.edge.plan import scale_note

    for path, picture in zip(paths, pictures, strict=True):
        if said := scale_note(picture, budget):
            _note(f"{path}: {said}")


def _check_seconds(seconds: float | None, budget: int | None, *, in_batch: bool) -> None:
    """Refuses --max-seconds of `ask` where it can't be meant."""
    if seconds is None:
        return
    from magicvl.plan_command import check_seconds

    check_seconds(seconds, budget)
    if in_batch:
        raise UsageError("--max-seconds has no effect with --batch: set --budget, or a row's own budget")


def _engine(
    model: Path | None,
    threads: int | None,
    cache: Path | None,
    cache_bytes: int | None,
    key_type: str | None,
    runtime: str,
) -> "Engine":
    """The engine as options say."""
    from magicvl import DEFAULT_BUNDLE
    from magicvl.edge.engine import Engine

    return Engine(
        model or DEFAULT_BUNDLE,
        threads=threads,
        cache=cache,
        cache_bytes=cache_bytes,
        key_type=key_type or "f16",
        runtime=runtime,
    )


def _cache(folder: Path | None, size: int | None, runtime: str) -> tuple[Path | None, int | None]:
    """The folder of visual tokens and its bytes, as options or the environment say.

    The environment is for what can use it: where a llama-server is what there is, it names nothing.
    """
    if folder is None and (named := os.environ.get("MAGICVL_CACHE")) and _in_process(runtime):
        folder = Path(named)
    if size is None:
        return folder, None
    if folder is None:
        raise UsageError(f"--cache-size {size} has no effect without --cache")
    if size < 1:
        raise UsageError(f"--cache-size {size}: it must be at least 1 MB")
    return folder, size * 10**6


def _in_process(runtime: str) -> bool:
    from magicvl.edge.runtime import choose
    from magicvl.edge.variant import ServerProgram

    return not isinstance(choose(runtime), ServerProgram)


def _print_json(data: dict[str, object]) -> None:
    print(json.dumps(data, ensure_ascii=False))
