"""The supervised arm: a film's prompt and the true description, learned token by token.

transformers' Trainer, of which TRL's for GRPO is one: both arms share what is kept, resumed and logged.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Trainer, TrainingArguments

from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.muon import Muon
from magicvl.train.video.batch import collate, label_weights, motion_targets, pointing_targets
from magicvl.train.video.films import Film, Films
from magicvl.train.video.misread import misread
from magicvl.train.video.motions import MotionHead
from magicvl.train.video.pointing import PointingHead
from magicvl.train.video.settings import CaptionRun

_HEAD, _HEAD_FILE = "dense_head", "dense_head.pt"
GROUPED = 16
"""Passes through the model whose films are sorted by length, so that little of a pass is padding."""


class InOrder(torch.utils.data.Dataset[Film]):
    """Films by their place in the run: each pass a new shuffle; films that go through the model together are alike.

    Only what comes next is looked at, so that a run begins and goes on at once.
    """

    def __init__(self, films: Films, rows: int, passes: float, seed: int) -> None:
        self._films, self._rows, self._seed = films, rows, seed
        self._numbers = shuffled(len(films), passes, seed)
        self._stretch: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> Film:
        size = GROUPED * self._rows
        begin = place // size * size
        if self._stretch[0] != begin:
            numbers = self._numbers[begin : begin + size]
            lengths = {number: len(self._films[number].prompt) + len(self._films[number].answer) for number in numbers}
            rng = random.Random(f"{self._seed} stretch {begin}")
            self._stretch = (begin, alike(numbers, lengths, self._rows, rng))
        return self._films[self._stretch[1][place - begin]]


class InOrderTrainer(Trainer):
    """Takes films as they come: their order is settled beforehand, so that a run goes on at any step.

    With `muon` that optimiser takes the steps in place of AdamW; all that is trained are matrices then.
    """

    def __init__(self, *, muon: bool = False, **rest: Any) -> None:
        self._muon = muon
        super().__init__(**rest)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The run's."""
        if self._muon and self.optimizer is None:
            ours: Any = self.model
            trained = [each for each in ours.parameters() if each.requires_grad]
            self.optimizer = Muon(trained, self.args.learning_rate, self.args.weight_decay)
        made: torch.optim.Optimizer = super().create_optimizer(model)
        return made

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        dataset: Any = train_dataset or self.train_dataset
        return torch.utils.data.SequentialSampler(dataset)


class HeadTrainer(InOrderTrainer):
    """Learns beside the description what a head reads off the decoder's middle.

    The head takes states (all, width) and the batch's `targets`, and gives its losses by name; `weights` are theirs. It
    is kept with the run's states alone.
    """

    def __init__(self, *, head: nn.Module, weights: Mapping[str, float], model: Any, **rest: Any) -> None:
        self._weights, self._losses = weights, dict[str, float]()
        self._middle = model.get_base_model().config.text_config.num_hidden_layers // 2
        model.add_module(_HEAD, head.to(model.device))
        super().__init__(model=model, **rest)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Of the description, by the batch's `label_weights` if it has some, and by their weights those of the head."""
        inputs = dict(inputs)
        targets, label_weights = inputs.pop("targets"), inputs.pop("label_weights", None)
        inputs["output_hidden_states"] = True
        steps = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
        if label_weights is None:
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        else:
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = weighted_loss(outputs.logits, labels, label_weights) / steps
        states = outputs.hidden_states[self._middle].flatten(0, 1)
        losses = self._head(model)(states, targets)
        self._losses = {name: float(each.detach()) for name, each in losses.items()}
        loss = loss + sum(self._weights[name] / steps * each for name, each in losses.items())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Says the head's losses of the step's last pass, before their weights, beside the sum."""
        super().log(logs | (self._losses if "loss" in logs else {}), start_time)

    def _save(self, output_dir: Any = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        torch.save(self._head(self.model).state_dict(), Path(output_dir) / _HEAD_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        state = torch.load(Path(resume_from_checkpoint) / _HEAD_FILE, weights_only=True)
        self._head(self.model).load_state_dict(state)

    def _head(self, model: Any) -> nn.Module:
        head: nn.Module = getattr(self.accelerator.unwrap_model(model), _HEAD)
        return head


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of the next tokens' cross-entropies in nats: all (rows, n), logits (rows, n, words)."""
    after = labels[:, 1:]
    each = F.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), after.flatten(), reduction="none", ignore_index=IGNORED
    )
    shares = (weights[:, 1:] * (after != IGNORED)).flatten()
    return (each * shares).sum() / shares.sum()


def supervised_trainer(model: Any, films: Films, arguments: dict[str, Any], run: CaptionRun) -> Trainer:
    """The trainer; `model` is PEFT's around a Captioner, `arguments` are TrainingArguments'."""
    rows, pad = arguments["per_device_train_batch_size"], films.processor.tokenizer.pad_token_id
    width = model.get_base_model().config.text_config.hidden_size
    kind: Callable[..., InOrderTrainer] = InOrderTrainer
    if run.motions:
        kind = partial(HeadTrainer, head=MotionHead(width), weights={"motions": run.motions})
    tracks = run.tracks
    if tracks.pointing:
        weights = {"pointing": tracks.pointing, "digits": tracks.pointing, "changes": tracks.changes}
        kind = partial(HeadTrainer, head=PointingHead(width), weights=weights)

    def batch(its: Sequence[Film]) -> dict[str, Any]:
        """Films in tokens, with what the head is to read."""
        made: dict[str, Any] = collate(its, pad)
        if run.motions:
            made["targets"] = motion_targets(its)
        if tracks.pointing:
            made |= {"targets": pointing_targets(its), "label_weights": label_weights(its, tracks)}
            misread(made, its, run, films.processor.tokenizer.convert_tokens_to_ids(list("0123456789")))
        return made

    return kind(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=InOrder(films, rows, run.passes, run.seed),
        data_collator=batch,
        processing_class=films.processor.tokenizer,
        muon=run.learning.optimiser == "muon",
    )


def shuffled(count: int, passes: float, seed: int) -> list[int]:
    """Numbers below `count` as they come; the last pass may be a part of one."""
    rng = random.Random(f"{seed} order")
    left, made = int(passes * count), list[int]()
    while left > 0:
        made += rng.sample(range(count), count)[:left]
        left -= count
    return made


def alike(numbers: Sequence[int], lengths: Mapping[int, int], rows: int, rng: random.Random) -> list[int]:
    """The same numbers, so that each `rows` of them have nearly one length; long and short ones come mixed."""
    ranked = sorted(numbers, key=lambda number: lengths[number])
    whole = len(ranked) // rows * rows
    runs = [ranked[at : at + rows] for at in range(0, whole, rows)]
    rng.shuffle(runs)
    # What fills no run comes last, so that no run is cut in two.
    return [number for run in runs for number in run] + ranked[whole:]
