"""The configuration of a training run, read from TOML."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from magicvl.edge.prompt import Pieces
from magicvl.errors import UsageError
from magicvl.train.nano.questions import WEIGHTS
from magicvl.train.nano.scenes import STANDARD, Content


@dataclass(frozen=True)
class Stage:
    """From when on which pictures are drawn, and what is learned from them."""

    start: int
    """Step at which this stage begins."""
    max_side: int
    """Longest side in visual tokens of 32 px."""
    max_tokens: int
    """Most visual tokens of one picture."""
    min_side: int = 1
    """Shortest side in visual tokens."""
    evenly: float = 0.0
    """Share of micro-batches whose sides are drawn evenly instead of log-uniformly: their pictures are mostly large."""
    pictures: int = 40
    """Most pictures of one micro-batch."""
    most_shapes: int = STANDARD.most_shapes
    prints: float = STANDARD.prints
    lines: int = STANDARD.lines
    numbers: float = STANDARD.numbers
    character: int = STANDARD.character
    """These five as in Content."""
    question_tokens: int = 56
    """Most tokens that the questions and answers of one picture take, one question being always asked; 0 asks none:
    encoder and projector learn from the dense targets alone, and the decoder rests."""
    batch_question_tokens: int = 0
    """The few large pictures of a micro-batch may be asked more: as many tokens, divided by its pictures, where that is
    above `question_tokens`. By its multiplications, to look at a large picture costs ten times what questions of
    100 tokens do."""

    weights: dict[str, float] = field(default_factory=dict)
    """How often tasks are asked beside each other, where it differs from `magicvl.train.nano.questions.WEIGHTS`."""

    def room(self, pictures: int) -> int:
        """Most tokens of questions and answers of each of so many pictures of a micro-batch."""
        return max(self.question_tokens, self.batch_question_tokens // pictures) if self.question_tokens else 0

    @property
    def content(self) -> Content:
        """What the pictures show."""
        return Content(self.most_shapes, self.prints, self.lines, self.numbers, self.character)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run; the same config and seed give the same data on any number of workers."""

    preset: str
    steps: int
    """Optimiser steps."""
    stages: tuple[Stage, ...]
    pieces: dict[str, str] = field(default_factory=dict)
    """What stands around tiles, by the names of magicvl.edge.prompt.Pieces, where it is not what the base has."""
    seed: int = 1
    micro_batches: int = 2
    """Micro-batches of one step; the pictures of one micro-batch share a grid."""
    visual_tokens: int = 640
    """Most visual tokens of one micro-batch."""
    encoder: bool = True
    """Whether encoder and projector learn too. Where what they see is right already, and telling it is what fails, a
    decoder that learns alone takes three quarters of the time (LOG.md)."""
    dense_weight: float = 0.3
    """Of the dense targets' loss beside that of the answers."""
    place_weight: float = 0.0
    """Of the loss of places in the whole picture, read off the decoder's middle, beside that of the answers."""
    item_weight: float = 0.0
    """Of the loss of which thing an answer's next word is about, read off the decoder before its last layer."""
    learning_rate: float = 1e-3
    """Of AdamW: embeddings, norms, biases, and all matrices where `muon_rate` is 0."""
    muon_rate: float = 0.0
    """Of Muon for the matrices inside both halves; 0 leaves everything to AdamW."""
    weight_decay: float = 0.05
    warmup: int = 100
    """Steps of linear warm-up; then constant, then a linear decay to zero over `decay`."""
    decay: int = 500
    """Last steps, over which the rate decays."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    head_steps: int = 0
    """First steps in which the dense targets teach their head alone: one that is new beside a trained encoder would
    only spoil it."""
    evaluate_every: int = 250
    """Steps between held-out measurements and checkpoints."""
    evaluate_pictures: int = 160
    """Held-out pictures of a measurement during training."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.micro_batches < 1 or any(stage.pictures < 1 for stage in self.stages):
            raise UsageError("training config: steps, micro_batches and pictures must be at least 1")
        if not self.encoder and not all(stage.question_tokens for stage in self.stages):
            raise UsageError("training config: where the encoder rests, every stage must ask (question_tokens above 0)")
        tasks = {task for stage in self.stages for task in stage.weights}
        if unknown := sorted(tasks - set(WEIGHTS)):
            raise UsageError(f"training config: unknown tasks {', '.join(unknown)}; there are {', '.join(WEIGHTS)}")
        if unknown := sorted(set(self.pieces) - set(vars(Pieces()))):
            raise UsageError(
                f"training config: unknown pieces {', '.join(unknown)}; there are {', '.join(vars(Pieces()))}"
            )
        if not self.stages or self.stages[0].start != 0:
            raise UsageError("training config: the first of [[stages]] must have start = 0")
        if not 0 <= self.decay <= self.steps:
            raise UsageError(f"training config: decay {self.decay} must lie in 0..steps ({self.steps})")


def read_config(path: Path) -> TrainConfig:
    """Reads a run's TOML file. Raises UsageError that names what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such training config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None
    known = {field.name for field in fields(TrainConfig)}
    if unknown := sorted(set(data) - known):
        raise UsageError(f"{path}: unknown keys {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    try:
        stages = tuple(Stage(**stage) for stage in data.pop("stages", ()))
        return TrainConfig(stages=stages, **data)
    except TypeError as error:
        raise UsageError(f"{path}: {error}") from None
