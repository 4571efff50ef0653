"""The supervised arm: a film's prompt and the true description, learned token by token.

transformers' Trainer, of which TRL's for GRPO is one: both arms share what is kept, resumed and logged.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.muon import Muon
from magicvl.train.video.films import Film, Films
from magicvl.train.video.motions import MotionHead, MotionTargets, as_targets
from magicvl.train.video.visual_ids import FIRST

_HEAD, _HEAD_FILE = "motion_head", "motion_head.pt"
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
    """Takes films as they come: their order is settled beforehand, so that a run goes on at any step."""

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        dataset: Any = train_dataset or self.train_dataset
        return torch.utils.data.SequentialSampler(dataset)


class MotionTrainer(InOrderTrainer):
    """Learns beside the description what actors do frame by frame; its head is kept with its states alone."""

    def __init__(self, *, weight: float, model: Any, **rest: Any) -> None:
        self._weight, self._motions = weight, 0.0
        config = model.get_base_model().config
        self._middle = config.text_config.num_hidden_layers // 2
        model.add_module(_HEAD, MotionHead(config.text_config.hidden_size).to(model.device))
        super().__init__(model=model, **rest)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Of the description as ever, and by weight that of the motions."""
        inputs = dict(inputs)
        targets = MotionTargets(*(inputs.pop(f"motion_{name}") for name in ("places", "verbs", "changes")))
        inputs["output_hidden_states"] = True
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        states = outputs.hidden_states[self._middle].flatten(0, 1)
        steps = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
        motions = self._head(model)(states, targets)
        self._motions = float(motions.detach())
        loss = loss + self._weight / steps * motions
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Says the motions' loss of the step's last pass beside the sum."""
        super().log(logs | ({"motions": self._motions} if "loss" in logs else {}), start_time)

    def _save(self, output_dir: Any = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        torch.save(self._head(self.model).state_dict(), Path(output_dir) / _HEAD_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        state = torch.load(Path(resume_from_checkpoint) / _HEAD_FILE, weights_only=True)
        self._head(self.model).load_state_dict(state)

    def _head(self, model: Any) -> MotionHead:
        head: MotionHead = getattr(self.accelerator.unwrap_model(model), _HEAD)
        return head


def supervised_trainer(
    model: Any, films: Films, arguments: dict[str, Any], passes: float, motions: float = 0.0, *, muon: bool = False
) -> Trainer:
    """The trainer; `model` is PEFT's around a Captioner, `arguments` are TrainingArguments', `motions` is the weight of
    the loss of what actors do, `muon` says that Muon takes the steps in place of AdamW."""
    rows, pad = arguments["per_device_train_batch_size"], films.processor.tokenizer.pad_token_id
    kind = partial(MotionTrainer, weight=motions) if motions else InOrderTrainer
    return kind(
        model=model,
        args=TrainingArguments(**arguments),
        optimizers=(_muon(model, arguments) if muon else None, None),
        train_dataset=InOrder(films, rows, passes, arguments["seed"]),
        data_collator=lambda batch: collate(batch, pad) | (collate_motions(batch) if motions else {}),
        processing_class=films.processor.tokenizer,
    )


def _muon(model: Any, arguments: dict[str, Any]) -> Muon:
    """For the factors of the LoRA, which are matrices; its states are kept by the trainer as AdamW's are."""
    factors = [each for each in model.parameters() if each.requires_grad]
    return Muon(factors, arguments["learning_rate"], arguments["weight_decay"])


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


def collate(films: Sequence[Film], pad: int) -> dict[str, torch.Tensor]:
    """A batch padded on the right; labels on the answer and its end alone (transformers shifts them itself)."""
    longest = max(len(film.prompt) + len(film.answer) for film in films)
    ids = torch.full((len(films), longest), pad)
    mask = torch.zeros(len(films), longest, dtype=torch.long)
    labels = torch.full((len(films), longest), IGNORED)
    for row, film in enumerate(films):
        begin, end = len(film.prompt), len(film.prompt) + len(film.answer)
        ids[row, :end] = torch.tensor(film.prompt + film.answer)
        mask[row, :end] = 1
        labels[row, begin:end] = ids[row, begin:end]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def collate_motions(films: Sequence[Film]) -> dict[str, torch.Tensor]:
    """What actors do, (n,) over all films and frames; places are those in the batch with its rows one after another."""
    longest = max(len(film.prompt) + len(film.answer) for film in films)
    visual = [[column for column, token in enumerate(film.prompt) if token >= FIRST] for film in films]
    found = as_targets(
        [
            (row * longest + visual[row][motion.token], motion)
            for row, film in enumerate(films)
            for motion in film.motions
        ]
    )
    return {f"motion_{name}": value for name, value in vars(found).items()}
