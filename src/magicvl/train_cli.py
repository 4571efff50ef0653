"""The commands `magicvl train ...`; each imports what it needs when it runs.

`magicvl train CONFIG -o DIR` trains: a word that is no command's name is a config.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from magicvl.command_options import Debug, Force, Json, Threads, note, print_json

RUN = "run"
"""The command that is meant where none is named."""


class ConfigOrCommand(TyperGroup):
    """A group whose first word may be a config: then it is `run` that is meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `run` in front where no command is named and no help is asked for."""
        # The context is click's, of which typer carries a copy under a private name.
        if args and args[0] not in self.commands and not set(args[:1]) & set(ctx.help_option_names):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


train = typer.Typer(
    cls=ConfigOrCommand,
    help="Train a model: `magicvl train CONFIG -o DIR`; a word that is no command's name is a config.",
)


Output = Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.", show_default=False)]
Base = Annotated[
    Path | None,
    typer.Option(help="Checkpoint or bundle to begin with, or an earlier run's merged/. [default: the config's]"),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that draw and cut pictures. [default: all cores but one]", min=0)
]


@train.command(RUN)
def run(
    config: Annotated[
        str,
        typer.Argument(
            help="A TOML file, or the name of one that comes along: magicvl-nano, or a stage of the curriculum such as "
            "magicvl-tiny/stage1.",
            show_default=False,
        ),
    ],
    output: Output,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in it.")] = False,
    base: Base = None,
    previous: Annotated[
        Path | None, typer.Option(help="Run of the stage before, where it is not the one that the config names.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of a stage, where they are not to be the config's.", min=1)
    ] = None,
    workers: Workers = None,
    debug: Debug = False,
) -> None:
    """Train a model from a config, or run a stage of the curriculum.

    The directory gets checkpoint/ (for `convert`), log.jsonl and curves.png. Ctrl-C stops after the step and
    keeps a checkpoint. On several GPUs or machines: accelerate launch -m magicvl train CONFIG -o DIR.
    """
    from magicvl.train_stage_command import train_config

    print(train_config(config, output, resume=resume, base=base, previous=previous, steps=steps, workers=workers))


@train.command()
def average(
    models: Annotated[list[Path], typer.Argument(help="Checkpoints or bundles of one shape.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to make.", show_default=False)],
    weight: Annotated[
        list[float] | None, typer.Option(help="How much a model counts; once for each, in their order.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Average the weights of models that come from one: a run and what it began with, or several runs."""
    from magicvl.train.average import average as mean_of

    print(mean_of(models, output, weight or ()))


@train.command()
def curriculum(
    name: Annotated[str, typer.Argument(help="A folder of stages: magicvl-2b, magicvl-tiny, ...", show_default=False)],
    output: Output,
    workers: Workers = None,
    debug: Debug = False,
) -> None:
    """Run all stages of a curriculum in turn, each in a folder of its own; the same command again goes on."""
    from magicvl.train_stage_command import run_curriculum

    print(run_curriculum(name, output, workers=workers))


@train.command()
def ablation(
    name: Annotated[
        str,
        typer.Argument(help="A TOML file, or one that comes along: curriculum, pictures.", show_default=False),
    ],
    output: Output,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.", min=1)] = 3,
    arm: Annotated[str | None, typer.Option(help="Only this arm, as on a machine of its own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed, from 1.", min=1)] = None,
    workers: Workers = None,
    debug: Debug = False,
) -> None:
    """Train the arms of an ablation and hold them against one another; the same command again goes on.

    Prints the table of what is done so far, with 95 % intervals over seeds; the directory gets table.md, table.json
    and table.png.
    """
    from magicvl.train_stage_command import run_ablation

    print(run_ablation(name, output, seeds, arm=arm, seed=seed, workers=workers), end="")


@train.command()
def caption(
    config: Annotated[
        str,
        typer.Argument(
            help="A TOML file, or one that comes along: nano-warm-up, nano-supervised, nano-grpo, tiny-...",
            show_default=False,
        ),
    ],
    output: Output,
    base: Base = None,
    adapter: Annotated[
        Path | None, typer.Option(help="LoRA of the base to go on with instead of a new one.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last state in it.")] = False,
    seed: Annotated[int | None, typer.Option(help="Order, chance and adapter, where not the config's.", min=0)] = None,
    debug: Debug = False,
) -> None:
    """Teach a checkpoint to caption films: supervised, or by rewards (GRPO).

    What is trained is a LoRA of the decoder. The directory gets adapter/, merged/ (the checkpoint with it), log.jsonl
    and curves.png. Ctrl-C stops after the step and keeps a state. Several GPUs: accelerate launch -m magicvl train ...
    """
    from magicvl.train_caption_command import train_captions

    print(train_captions(config, output, base=base, adapter=adapter, resume=resume, seed=seed))


@train.command()
def join(
    adapters: Annotated[list[Path], typer.Argument(help="PEFT LoRAs, in any order.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the joined one.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Join LoRAs that were trained one after the other into one that does what all of them do."""
    from magicvl.train_caption_command import join as join_them

    print(join_them(adapters, output))


@train.command("caption-arms")
def caption_arms(
    name: Annotated[str, typer.Argument(help="A TOML file, or one that comes along: nano, tiny.", show_default=False)],
    output: Output,
    base: Annotated[Path, typer.Option(help="Checkpoint that all arms begin with.", show_default=False)],
    seeds: Annotated[int, typer.Option(help="Runs of each arm.", min=1)] = 3,
    arm: Annotated[str | None, typer.Option(help="Only this arm, as on a machine of its own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed, from 1.", min=1)] = None,
    debug: Debug = False,
) -> None:
    """Train captions in several ways from one base and hold them against it; the same command again goes on.

    Prints the table of what is done so far, with 95 % intervals over seeds.
    """
    from magicvl.train_caption_command import caption_arms as run_arms

    print(run_arms(name, output, base, seeds, arm=arm, seed=seed), end="")


@train.command()
def complexity(  # noqa: PLR0913, PLR0917 - each option is a parameter
    specs: Annotated[
        list[str],
        typer.Argument(
            help="Samples: llava:FILE.json, webdataset:SHARDS, hf:FOLDER, generated:NAMES, generated:all.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The table: a JSON file, as stages read it.", show_default=False)
    ],
    count: Annotated[int, typer.Option(help="Most samples of a dataset that are measured.")] = 200,
    llm: Annotated[
        Path | None,
        typer.Option(
            help="The LLM of perplexities and tokens: a directory (causal LM or MagicVL checkpoint) or a GGUF file. "
            "[default: SmolLM2-135M-Instruct]"
        ),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            help="A MagicVL checkpoint whose losses S_task is of; two or three times, the smallest first. "
            "[default: S_task is left out]",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML file of weights, beta, delta and normalisation, where they shall differ.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the table and the scores into this PNG.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which samples are drawn or chosen.")] = 0,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="Read the text of pictures whose samples have no boxes, by tesseract.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score datasets by how complex they are, and cut each category into low and high.

    What is measured of each sample is kept beside the table: a run that was stopped goes on, and another weight or
    cut costs no new measuring.
    """
    from magicvl.train_complexity_command import ComplexityCall, score

    call = ComplexityCall(
        tuple(specs), output, count, seed, llm, tuple(models or ()), settings, figure, ocr=ocr, force=force
    )
    print(score(call, note, as_json=as_json))


Spec = Annotated[
    str,
    typer.Argument(
        help="Samples: llava:FILE.json, webdataset:SHARDS, hf:FOLDER, generated:NAMES, generated:CATEGORY; options "
        "behind a question mark: ?pictures=FOLDER&category=ocr&source=NAME.",
        show_default=False,
    ),
]
SampleSplit = Annotated[
    Literal["train", "validation", "test", "style"], typer.Option(help="Of generated samples and hf folders.")
]


@train.command()
def draw(  # noqa: PLR0913, PLR0917 - each option is a parameter
    spec: Spec,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; the same command again goes on in it.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many samples. [default: all; generated ones need it]")] = None,
    format_name: Annotated[
        Literal["llava", "webdataset"], typer.Option("--format", help="A JSON file with pictures, or tar files.")
    ] = "llava",
    sheet: Annotated[
        Path | None, typer.Option(help="PNG of the first 30 samples: pictures with what is asked and answered.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What generated samples are drawn by.")] = 0,
    split: SampleSplit = "train",
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote.")] = False,
    debug: Debug = False,
) -> None:
    """Write samples of any source as LLaVA JSON or WebDataset shards, and a contact sheet of them."""
    from magicvl.train_draw_command import DrawCall
    from magicvl.train_draw_command import draw as write

    call = DrawCall(spec, output, count, format_name, seed, split, sheet, force)
    said, code = write(call, note)
    if said:
        print(said)
    raise typer.Exit(code)


@train.command()
def clips(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder to write; the same command goes on in it.", show_default=False),
    ],
    count: Annotated[int, typer.Option(help="How many films.")],
    style: Annotated[
        str, typer.Option(help="shapes or objects; a level behind a slash: simple, mixed, rich.")
    ] = "shapes/mixed",
    format_name: Annotated[
        Literal["mp4", "gif", "frames"], typer.Option("--format", help="A file each, or a folder of pictures.")
    ] = "mp4",
    seed: Annotated[int, typer.Option(help="What they are drawn by.")] = 0,
    split: Annotated[
        Literal["train", "validation", "test", "style"], typer.Option(help="No two splits share a film.")
    ] = "train",
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote.")] = False,
    debug: Debug = False,
) -> None:
    """Write short films with known truth: films, clips.jsonl with actors, events and captions, and sheet.png."""
    from magicvl.train_clips_command import ClipsCall
    from magicvl.train_clips_command import clips as write

    said, code = write(ClipsCall(output, count, style, format_name, seed, split, force), note)
    if said:
        print(said)
    raise typer.Exit(code)


@train.command("filter")
def filter_command(  # noqa: PLR0913, PLR0917 - each option is a parameter
    spec: Spec,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder to write; the same command goes on in it.", show_default=False),
    ],
    count: Annotated[int | None, typer.Option(help="How many samples. [default: all; generated ones need it]")] = None,
    format_name: Annotated[
        Literal["llava", "webdataset", "ids"], typer.Option("--format", help="What is written of those kept.")
    ] = "llava",
    judge: Annotated[
        Path | None,
        typer.Option(
            help="GGUF file of a chat model that is asked whether answers make sense; refused if it can't tell."
        ),
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file of thresholds, where they shall differ.")] = None,
    seed: Annotated[int, typer.Option(help="What generated samples are drawn by.")] = 0,
    split: SampleSplit = "train",
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, whatever an earlier run wrote.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Keep the samples that are worth training on, and report what went out and why.

    Rules for odd characters, keywords, length, refusals, repetition and pictures; near-duplicates of pictures and
    words, within and across sources; and with --judge a language model's word.
    """
    from magicvl.train.filters.report import to_json, to_text
    from magicvl.train_filter_command import FilterCall, filter_source

    call = FilterCall(spec, output, count, format_name, judge, settings, seed, split, threads, force)
    tally, agreements, code = filter_source(call, note)
    if code == 0 and as_json:
        print_json(to_json(tally, agreements))
    elif code == 0:
        print(to_text(tally, agreements))
    raise typer.Exit(code)


@train.command("judge")
def judge_command(  # noqa: PLR0913, PLR0917 - each option is a parameter
    judges: Annotated[
        list[str] | None,
        typer.Argument(
            help="words, embedding (both without a language model), a GGUF file of a chat model, or an "
            "OpenAI-compatible endpoint as https://HOST/v1#MODEL, whose key is read from MAGICVL_JUDGE_KEY. "
            "[default: words embedding]",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[int, typer.Option(help="Generated films beside those in natural language.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Try language models at completeness and naturalness, too.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that verdicts are kept in: nothing is asked twice.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the table into this PNG.")] = None,
    seed: Annotated[int, typer.Option(help="What generated films are made by.")] = 0,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Try judges of captions on planted truths: right captions, swapped actors, other actions, what is not told.

    Exit 1 where one is refused because it cannot tell right from wrong.
    """
    from magicvl.train.rewards.judge_report import to_json, to_text
    from magicvl.train_judge_command import JudgeCall, judge

    found = judge(JudgeCall(tuple(judges or ("words", "embedding")), clips, seed, whole, cache, figure, threads))
    if as_json:
        print_json(to_json(found.tried, found.whole))
    else:
        print(to_text(found.tried, found.whole))
    for line in found.refused:
        note(line)
    raise typer.Exit(bool(found.refused))


@train.command()
def assets(
    debs: Annotated[
        Path | None,
        typer.Option(help="Folder of the .deb files, for machines without apt or network.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make the pack again.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch drawings of named objects and photographs for backgrounds, and pack them; then say what there is.

    They are Debian packages, about 430 MB, fetched and unpacked without root; the pack has about 22 MB, and is all
    that the generator needs. It lies in the user's data folder, or where MAGICVL_ASSETS says.
    """
    from magicvl.train_assets_command import assets as make_and_show

    make_and_show(debs, force=force, as_json=as_json)
