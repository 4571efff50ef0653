"""Ablations: arms that differ in one thing, trained in turn with several seeds, and held against one another.

    DIR/ARM/seed1/1-STAGE/   the run of a stage (magicvl.train.curriculum.trainer)
    DIR/ARM/seed1/scores.json
    DIR/table.md  DIR/table.json  DIR/table.png

An arm is a list of stages; each is a stage that comes along, with some of its keys replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from magicvl.errors import UsageError
from magicvl.train.curriculum.read_stage import CONFIGS, find_config, find_stage, read_toml, stage_of, with_paths_from
from magicvl.train.curriculum.stage import Data, Stage

FOLDER = CONFIGS / "ablations"
SCORES = "scores.json"
SHARED = "shared"


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Ablation:
    """What is compared, and on which held-out samples."""

    name: str
    question: str
    arms: tuple[Arm, ...]
    shared: Arm | None
    """What every arm begins with, trained once: intervals over seeds are those of what comes after it."""
    test: tuple[Data, ...]
    samples: int
    """Held-out samples, of the split `test`, the same for all arms."""


@dataclass(frozen=True)
class Piece:
    """One arm with one seed."""

    arm: Arm
    seed: int = 1
    before: Arm | None = None
    """What it begins with, whatever the seed."""

    def folder(self, output: Path) -> Path:
        """Where it lies."""
        return output / self.arm.name / f"seed{self.seed}"

    def stages(self) -> list[tuple[str, Stage]]:
        """The folder's name and the stage, in order; each begins where the one before ended, on new samples."""
        made: list[tuple[str, Stage]] = []
        last = None
        if self.before is not None:
            earlier = Piece(self.before)
            # From a stage's folder up to the arms, and down again.
            last = f"../../../{earlier.folder(Path())}/{earlier.stages()[-1][0]}"
        for number, stage in enumerate(self.arm.stages, 1):
            start = stage.start if last is None else replace(stage.start, previous=last)
            # By its place too: stages with the same data would draw the same samples again.
            seed = stage.seed + 1000 * self.seed + 10 * (number - 1)
            made.append((f"{number}-{stage.name}", replace(stage, seed=seed, start=start)))
            last = f"../{made[-1][0]}"
        return made


def is_done(ablation: Ablation, piece: Piece, output: Path) -> bool:
    """Whether a piece is trained, and measured where it is an arm."""
    folder = piece.folder(output)
    if piece.arm is not ablation.shared:
        return (folder / SCORES).exists()
    return all((folder / name / "done.json").exists() for name, _ in piece.stages())


def find_ablation(name: str) -> Ablation:
    """The ablation of a file, or of the name of one that comes along. Raises UsageError."""
    return read_ablation(find_config("ablation", name, FOLDER))


def read_ablation(path: Path) -> Ablation:
    """Reads an ablation's TOML file. Raises UsageError that names what is wrong."""
    data = read_toml(path)
    if problems := [key for key in ("question", "arms", "test", "samples") if key not in data]:
        raise UsageError(f"{path}: it lacks {', '.join(problems)}")
    try:
        arms = tuple(
            Arm(str(arm["name"]), tuple(_stage(each, path, arm) for each in arm["stages"])) for arm in data["arms"]
        )
        shared = [_stage(each, path, {"name": SHARED}) for each in data.get("shared", ())]
        test = tuple(Data(**each) for each in data["test"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: {error}") from None
    if len({arm.name for arm in arms}) < max(2, len(arms)) or not test:
        raise UsageError(f"{path}: two arms with names of their own and held-out samples are needed")
    before = Arm(SHARED, tuple(shared)) if shared else None
    return Ablation(path.stem, str(data["question"]), arms, before, test, int(data["samples"]))


def _stage(changes: Mapping[str, Any], path: Path, arm: Mapping[str, Any]) -> Stage:
    """A stage by its `base` with what the arm and the entry change; both may."""
    base = str(changes["base"])
    source = path.parent / base if base.endswith(".toml") else find_stage(base)
    own = {key: value for key, value in arm.items() if key not in ("name", "stages")}
    own |= {"name": base.rpartition("/")[2].removesuffix(".toml")}
    own |= {key: value for key, value in changes.items() if key != "base"}
    tables = with_paths_from(read_toml(source), source.parent) | with_paths_from(own, path.parent)
    return stage_of(tables, f"{path}, arm {arm['name']}")
