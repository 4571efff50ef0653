"""`magicvl train caption`, `join` and `caption-arms`: captions of films."""

from dataclasses import replace
from pathlib import Path

from magicvl.command_options import note
from magicvl.errors import MagicVLError, UsageError


def train_captions(
    config: str, output: Path, *, base: Path | None, adapter: Path | None, resume: bool, seed: int | None
) -> Path:
    """Runs a config; returns the adapter."""
    from magicvl.train.video.read import find_run, read_run
    from magicvl.train.video.run import DONE, run_captions

    run = read_run(find_run(config))
    start = base or (Path(run.base) if run.base else None)
    if start is None:
        raise UsageError(f"{config} names no base; give one with --base: a checkpoint, or an earlier run's merged/")
    run = run if seed is None else replace(run, seed=seed)
    made = run_captions(run, output, base=start, resume=resume, adapter=adapter)
    if not (output / DONE).exists():
        raise MagicVLError(f"{output}: stopped; --resume goes on")
    return made


def join(adapters: list[Path], output: Path) -> Path:
    """Joins adapters; returns the directory."""
    from magicvl.train.video.join_adapters import join_adapters

    return join_adapters(adapters, output)


def caption_arms(name: str, output: Path, base: Path, seeds: int, *, arm: str | None, seed: int | None) -> str:
    """Runs what is not done yet of an experiment; returns the table of what is."""
    from magicvl.train.video.experiment import BASE, find_experiment, is_done, run_arm
    from magicvl.train.video.experiment_table import write_table
    from magicvl.train_stage_command import call_train

    found = find_experiment(name)
    if arm is not None and arm not in (BASE, *found.arms):
        raise UsageError(f"--arm {arm}: there are {', '.join((BASE, *found.arms))}")
    output.mkdir(parents=True, exist_ok=True)
    numbers = [seed] if seed else list(range(1, seeds + 1))
    pieces = [(BASE, 1), *((each, number) for number in numbers for each in found.arms)]
    pieces = [piece for piece in pieces if arm in (None, piece[0])]
    for each, number in pieces:
        if is_done(output, each, number):
            continue
        if len(pieces) == 1:
            run_arm(found, each, number, output, base)
        else:
            note(f"{found.name}: {each}, seed {number}")
            one = ["caption-arms", name, "-o", str(output), "--base", str(base), "--arm", each, "--seed", str(number)]
            call_train(one, None, quiet=True)
        if not is_done(output, each, number):
            raise MagicVLError(f"{found.name}: {each} was stopped; the same command goes on")
    return write_table(found, output, max(seeds, seed or 1))
