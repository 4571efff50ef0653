"""The command `magicvl`: answers and data on stdout, progress and notes on stderr.

Every command imports what it needs when it runs: `magicvl --help` is instant, and a phone without torch
never meets it. Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magicvl.android_cli import android
from magicvl.bench_cli import bench
from magicvl.command_options import Budget, Debug, Force, Json, State, Threads, note, print_json, progress_line
from magicvl.errors import MagicVLError, UsageError
from magicvl.train_cli import train

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

app.add_typer(bench, name="bench")
app.add_typer(train, name="train")
app.add_typer(android, name="android")


def _version(value: bool) -> None:
    if value:
        from magicvl import __version__

        typer.echo(f"magicvl {__version__}")
        raise typer.Exit


Images = Annotated[list[Path] | None, typer.Argument(help="Pictures: JPEG, PNG, WebP or GIF.", show_default=False)]
Model = Annotated[Path | None, typer.Option(help="Bundle directory. [default: the model that comes along]")]
MaxSeconds = Annotated[
    float | None,
    typer.Option(help="Instead of --budget: as many visual tokens as let the answer begin within so many seconds."),
]
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
        result = ask_batch(call, prompt, options, model or DEFAULT_BUNDLE, threads=threads, note=note)
        if as_json:
            print_json(result.to_json())
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

        budget, threads = budget_for(max_seconds, model or DEFAULT_BUNDLE, images, prompt, threads, note)
        options = replace(options, budget=budget)
    with _engine(model, threads, folder, cache_bytes, key_type, runtime) as engine:
        stream = engine.start(
            images,
            prompt,
            options,
            progress=progress_line(),
            # With --max-seconds it was said already.
            planned=None if max_seconds is not None else lambda plans: _note_scale(images, plans, budget),
        )
        answer = _show(stream, silent=as_json or options.grammar is not None)
    if options.grammar is not None and not as_json:
        print(answer.text)
    if answer.finish_reason != "stop":
        limit = f"--max-tokens {max_tokens}" if answer.finish_reason == "length" else "the end of the context"
        note(f"the answer stopped at {limit}; it may be cut short")
    if as_json:
        print_json(answer.to_json())


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
        code = talk(call, engine, note, progress_line())
    raise typer.Exit(code)


@app.command()
def caption(  # noqa: PLR0913, PLR0917 - each option is a parameter
    film: Annotated[
        Path,
        typer.Argument(
            help="A film (mp4, mov, webm, mkv, avi and others, with the extra video), a GIF, an animated WebP or PNG, "
            "or a folder of pictures.",
            show_default=False,
        ),
    ],
    model: Model = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="What to ask. [default: what captions were trained with]")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="How many frames to look at. [default: one a second, 8 to 64]")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            help="Most visual tokens of all frames together; fewer frames, and then smaller ones. [default: those of a "
            "full tile for each frame]"
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="Most frames that are described at once; a longer film goes in parts. [default: 16, or what the "
            "context holds]"
        ),
    ] = None,
    choose: Annotated[
        Literal["uniform", "scenes"],
        typer.Option(help="Frames spread evenly, or over the film's scenes, which decodes it once more."),
    ] = "uniform",
    fps: Annotated[
        float | None, typer.Option(help="Pictures a second, of a folder. [default: 1]", show_default=False)
    ] = None,
    start: Annotated[float | None, typer.Option(help="Where to begin, in seconds. [default: the beginning]")] = None,
    end: Annotated[float | None, typer.Option(help="Where to stop, in seconds. [default: the end]")] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of the description of each part.")] = 1024,
    temperature: Temperature = 0.0,
    top_p: TopP = None,
    seed: Seed = None,
    threads: Threads = None,
    cache: Cache = None,
    cache_size: CacheSize = None,
    key_type: KeyType = None,
    runtime: Runtime = "auto",
    as_json: Json = False,
    draw: Annotated[
        Path | None, typer.Option(help="Save the frames that were looked at, with their times, as PNG.")
    ] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Describe a film: who or what is seen in it, what it does and when, and a caption.

    Which frames are looked at is said on stderr. A description that does not become whole is an error.
    """
    from magicvl.caption_command import CaptionCall, caption_film
    from magicvl.edge.video.asked import Asked
    from magicvl.edge.video.description import PROMPT
    from magicvl.edge.video.share import Wish

    wish, words = Wish(frames, budget, window), PROMPT if prompt is None else prompt
    asked = Asked(words, wish, choose, None, start, end, max_tokens, temperature, top_p, seed)
    folder, cache_bytes = _cache(cache, cache_size, runtime)
    call = CaptionCall(film, fps, asked, draw, force)
    made = caption_film(
        call, lambda: _engine(model, threads, folder, cache_bytes, key_type, runtime), note, progress_line()
    )
    if as_json:
        print_json(made.to_json())
    else:
        print(made.to_text())


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
    result = plan_pictures(call, note)
    if as_json:
        print_json(result.to_json())
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
    lora_type: Annotated[str, typer.Option(help="Type of lora.gguf and caption.gguf: F32 or F16.")] = "F32",
    caption_adapter: Annotated[
        Path | None,
        typer.Option(help="Directory of a PEFT LoRA of the decoder that films alone are described with: caption.gguf."),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge the adapter into the decoder instead.")] = False,
    llm_package: Annotated[
        str | None,
        typer.Option(help="An installed package whose GGUF is the very decoder: it is named, no llm.gguf is written."),
    ] = None,
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
            lora_type=lora_type,
            caption_adapter=caption_adapter,
            merge=merge,
            llm_package=llm_package,
            tokenizer=tokenizer,
            force=force,
            steps=steps,
        )
    if as_json:
        print_json(report.to_json())
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
    from magicvl.convert.restore_adapter import CAPTION_ADAPTER
    from magicvl.edge.bundle import read_bundle

    with bar() as steps:
        make_checkpoint(bundle, checkpoint, force=force, steps=steps)
    if "caption_lora" in read_bundle(bundle).lock.files:
        note(f"its caption adapter is in {checkpoint / CAPTION_ADAPTER}, for convert --caption-adapter")
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
        print_json(to_json(found))
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

    result = compare(checkpoint, bundle, threads=threads, tokenizer=tokenizer, progress=progress_line())
    if as_json:
        print_json(result.to_json())
    else:
        print(result.to_text())
    if not result.passed:
        raise typer.Exit(1)


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
        print_json(report.to_json())
    else:
        print(report.to_text())
    raise typer.Exit(0 if report.answers else 1)


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
    note(" ".join(message.split()))
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


def _note_scale(paths: Sequence[Path], pictures: Sequence["Plan"], budget: int | None) -> None:
    from magicvl.edge.plan import scale_note

    for path, picture in zip(paths, pictures, strict=True):
        if said := scale_note(picture, budget):
            note(f"{path}: {said}")


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
