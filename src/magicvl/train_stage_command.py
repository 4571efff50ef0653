"""`magicvl train` for stages of the curriculum, for all of them, and for ablations."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from magicvl.command_options import note
from magicvl.errors import MagicVLError, UsageError


def train_config(
    config: str,
    output: Path,
    *,
    resume: bool,
    base: Path | None = None,
    previous: Path | None = None,
    steps: int | None = None,
    workers: int | None = None,
) -> Path:
    """Runs a config of magicvl-nano or a stage; returns its checkpoint."""
    from magicvl.train.curriculum.read_stage import CONFIGS, find_config, find_stage, is_stage, read_stage

    path = find_stage(config) if "/" in config else find_config("training config", config, CONFIGS)
    if not is_stage(path):
        given = {"--previous": previous, "--steps": steps}
        if unused := [f"{name} {value}" for name, value in given.items() if value is not None]:
            raise UsageError(f"{' and '.join(unused)}: no effect, {path.stem} is no stage of the curriculum")
        return _train_nano(path, output, resume=resume, workers=workers, base=base)
    stage = read_stage(path)
    if base is not None:
        raise UsageError(f"--base {base}: no effect, a stage starts from the run of another; see --previous")
    if previous is not None:
        if stage.start.previous is None:
            raise UsageError(f"--previous {previous} has no effect: {config} starts from no earlier stage")
        stage = replace(stage, start=replace(stage.start, previous=os.path.relpath(previous, output)))
    if steps is not None:
        stage = replace(stage, steps=steps)
    from magicvl.train.curriculum.trainer import run_stage

    return run_stage(stage, output, resume=resume, workers=_workers(workers))


def _train_nano(path: Path, output: Path, *, resume: bool, workers: int | None, base: Path | None) -> Path:
    from magicvl.train.nano.config import read_config
    from magicvl.train.nano.trainer import train

    return train(read_config(path), output, resume=resume, workers=1 if workers is None else workers, base=base)


def _workers(workers: int | None) -> int:
    """Processes that make batches: one core is left for the training itself."""
    return max(1, (os.cpu_count() or 2) - 1) if workers is None else workers


def run_curriculum(name: str, output: Path, *, workers: int | None) -> Path:
    """Runs the stages of a folder in the order of their names; returns the last checkpoint.

    Each is a process of its own, so that what one leaves in memory never reaches the next.
    """
    from magicvl.train.curriculum.read_stage import shipped_stages

    stages = [stage for stage in shipped_stages() if stage.startswith(f"{name}/")]
    if not stages:
        known = sorted({stage.partition("/")[0] for stage in shipped_stages()})
        raise UsageError(f"curriculum {name!r}: there are {', '.join(known)}")
    for stage in stages:
        folder = output / stage.partition("/")[2]
        note(f"{stage} in {folder}")
        call_train([stage, "-o", str(folder), "--resume"], workers)
        if not (folder / "done.json").exists():
            raise MagicVLError(f"{stage} was stopped; the same command goes on")
    return folder / "checkpoint"


def run_ablation(name: str, output: Path, seeds: int, *, arm: str | None, seed: int | None, workers: int | None) -> str:
    """Runs what is not done yet of an ablation; returns the table of what is."""
    from magicvl.train.curriculum.ablation import Piece, find_ablation, is_done
    from magicvl.train.curriculum.ablation_table import write_table

    found = find_ablation(name)
    shared = [Piece(found.shared)] if found.shared else []
    # Seed by seed, so that all arms are held against one another early.
    numbers = [seed] if seed else range(1, seeds + 1)
    every = [*shared, *(Piece(each, number, found.shared) for number in numbers for each in found.arms)]
    pieces = [piece for piece in every if arm in (None, piece.arm.name)]
    if not pieces:
        raise UsageError(f"--arm {arm}: there are {', '.join(dict.fromkeys(each.arm.name for each in every))}")
    output.mkdir(parents=True, exist_ok=True)
    if len(pieces) == 1:
        from magicvl.train.curriculum.ablation_run import run_piece

        run_piece(found, pieces[0], output, _workers(workers))
        return write_table(found, output, max(seeds, seed or 1))
    for piece in pieces:
        if not is_done(found, piece, output):
            note(f"{found.name}: {piece.arm.name}, seed {piece.seed} of {seeds}")
            one = ["ablation", name, "-o", str(output), "--arm", piece.arm.name, "--seed", str(piece.seed)]
            call_train(one, workers, quiet=True)
            if not is_done(found, piece, output):
                raise MagicVLError(f"{found.name}: {piece.arm.name} was stopped; the same command goes on")
    return write_table(found, output, max(seeds, seed or 1))


def call_train(arguments: Sequence[str], workers: int | None, *, quiet: bool = False) -> None:
    """Runs `magicvl train` in a process of its own. Raises MagicVLError where it fails; Ctrl-C reaches both."""
    command = [sys.executable, "-m", "magicvl", "train", *arguments]
    command += [] if workers is None else ["--workers", str(workers)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL if quiet else None)
    while True:
        try:
            code = child.wait()
            break
        except KeyboardInterrupt:
            # The child stops after its step and keeps a checkpoint.
            continue
    if code:
        raise MagicVLError(f"{' '.join(arguments)} ended with exit code {code}; what it said is above")
