"""Arms that train captions from one base, each with several seeds, held against one another and against the base.

DIR/base/scores.json                   the base as it is
DIR/ARM/seed1/...                      a run (magicvl.train.video.run)
DIR/ARM/seed1/scores.json              what it reached on the test films
DIR/table.md  DIR/table.json
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.train.curriculum.read_stage import find_config, read_toml
from magicvl.train.video.read import FOLDER, find_run, read_run
from magicvl.train.video.settings import CaptionRun

EXPERIMENTS = FOLDER / "experiments"
SCORES = "scores.json"
BASE = "base"


@dataclass(frozen=True)
class Experiment:
    """What is compared, and on which films."""

    name: str
    question: str
    arms: dict[str, CaptionRun]
    style: str
    """Of the films that all arms are measured on, of the split `test`."""
    films: int


def find_experiment(name: str) -> Experiment:
    """The experiment of a file, or of the name of one that comes along. Raises UsageError."""
    return read_experiment(find_config("experiment", name, EXPERIMENTS))


def read_experiment(path: Path) -> Experiment:
    """Reads an experiment's TOML file. Raises UsageError that names what is wrong."""
    data = read_toml(path)
    try:
        arms = {str(arm): _arm(path, str(run)) for arm, run in data["arms"].items()}
        made = Experiment(path.stem, str(data["question"]), arms, str(data["style"]), int(data["films"]))
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: question, arms (runs by name), style and films are due: {error}") from None
    if not arms or BASE in arms or made.films < 1:
        raise UsageError(f"{path}: at least one arm, none of them named {BASE}, and at least one film are due")
    return made


def _arm(path: Path, run: str) -> CaptionRun:
    return read_run(path.parent / run if run.endswith(".toml") else find_run(run))


def run_arm(experiment: Experiment, arm: str, seed: int, output: Path, base: Path) -> None:
    """Trains and measures one arm with one seed, or measures the base; goes on where it was stopped."""
    from magicvl.train.video.measure_arm import measure_checkpoint
    from magicvl.train.video.run import DONE, MERGED, run_captions

    folder = arm_folder(output, arm, seed)
    checkpoint = base
    if arm != BASE:
        run_captions(replace(experiment.arms[arm], seed=seed), folder, base=base, resume=True)
        if not (folder / DONE).exists():
            return
        checkpoint = folder / MERGED
    scores = measure_checkpoint(next(iter(experiment.arms.values())), checkpoint, experiment.style, experiment.films)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / SCORES) as path:
        path.write_text(json.dumps(scores, indent=1), encoding="utf-8")


def arm_folder(output: Path, arm: str, seed: int) -> Path:
    """Where an arm with a seed lies; the base has no seed."""
    return output / BASE if arm == BASE else output / arm / f"seed{seed}"


def is_done(output: Path, arm: str, seed: int) -> bool:
    """Whether an arm is trained and measured with that seed."""
    return (arm_folder(output, arm, seed) / SCORES).is_file()
