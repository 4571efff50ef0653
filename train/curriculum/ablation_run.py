"""Runs one piece of an ablation: its stages in turn, then its scores on the held-out samples."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from accelerate import Accelerator

from magicvl.edge.files import whole_file
from magicvl.train.curriculum.ablation import SCORES, Ablation, Piece
from magicvl.train.curriculum.batches import Batches, Share
from magicvl.train.curriculum.learner import Learner
from magicvl.train.curriculum.measure import measure
from magicvl.train.curriculum.mixture import Mixture
from magicvl.train.curriculum.packing import blank_row
from magicvl.train.curriculum.stage import Start
from magicvl.train.curriculum.start import begin
from magicvl.train.curriculum.trainer import LOG_NAME, run_stage
from magicvl.train.run_log import read_log


@dataclass(frozen=True)
class Scores:
    """What an arm with a seed reached."""

    accuracy: dict[str, tuple[int, int]]
    """Right answers and answers by category: exact, token by token."""
    loss: float
    """Mean of a held-out answer token in nats."""
    picture_tokens: float
    """Mean visual tokens of a held-out picture, separators not counted."""
    samples: int
    """Samples that were seen in training."""


def run_piece(ablation: Ablation, piece: Piece, output: Path, workers: int) -> None:
    """Trains what is not trained yet and measures it; goes on where it was stopped."""
    folder = piece.folder(output)
    seen = 0
    for name, stage in piece.stages():
        run_stage(stage, folder / name, resume=True, workers=workers)
        if not (folder / name / "done.json").exists():
            return
        seen += sum(entry["samples"] for entry in read_log(folder / name / LOG_NAME))
    if piece.arm is ablation.shared:
        return
    scores = score(ablation, piece, folder, seen)
    with whole_file(folder / SCORES) as partial:
        partial.write_text(json.dumps(asdict(scores), indent=1), encoding="utf-8")


def score(ablation: Ablation, piece: Piece, folder: Path, seen: int) -> Scores:
    """Measures the last stage's model on the ablation's held-out samples."""
    name, last = piece.stages()[-1]
    # The pictures as the last stage cut them, whichever stage said so; every arm has the same samples.
    stage = replace(last, start=Start(previous="."), data=ablation.test, seed=1, pictures=None, dense=0.0,
                    samples=ablation.samples, average=None, precision="fp32")  # fmt: skip
    order = next((each.pictures for _, each in reversed(piece.stages()) if each.pictures is not None), None)
    begun = begin(stage, folder / name)
    stage = replace(stage, pictures=order)
    batch = Batches(Mixture(stage, "test"), begun.processor, stage, Share())[0]
    accelerator = Accelerator()
    learner = Learner(begun.model, begun.processor, stage).to(accelerator.device)
    counts, loss = measure(accelerator, learner, batch.rows, blank_row(begun.processor))
    tokens = [sum(rows * columns for rows, columns in row.shapes) // 4 for row in batch.rows if not row.blank]
    pictures = sum(row.pictures for row in batch.rows)
    return Scores(counts, loss, sum(tokens) / max(1, pictures), seen)
