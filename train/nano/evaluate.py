"""Held-out accuracy: seeds, fonts and backgrounds that training never sees, scored by exact match."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from magicvl.mmproj.modeling import MagicVLForConditionalGeneration, MagicVLModel
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.nano.batches import IGNORED, Batch, Sample, collate, draw_grid, draw_sample
from magicvl.train.nano.config import Stage


def held_out_samples(split: str, pictures: int, stage: Stage, questions: int = 8) -> list[Sample]:
    """Pictures of many grids up to the stage's limits, from seeds that no run uses.

    `split` is part of the seed: what a run is steered by (validation) and what a model is judged by in the end
    (test) are different pictures.
    """
    samples = []
    for index in range(pictures):
        across, down = draw_grid(random.Random(f"{split} grid {index}"), stage)
        samples.append(draw_sample(f"{split} {index}", across, down, questions, held_out=True))
    return samples


def accuracy(
    model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, samples: Iterable[Sample]
) -> dict[str, tuple[int, int]]:
    """Right answers and questions by task.

    One forward pass a picture decides it: greedy decoding gives exactly the answer if and only if every token of
    the answer, the end included, is the most likely one given those before it.
    """
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    model.train(False)
    with torch.no_grad():
        for sample in samples:
            batch = collate([sample], processor)
            for question, is_right in zip(sample.questions, _answered(model, batch), strict=True):
                asked[question.task] += 1
                right[question.task] += is_right
    model.train()
    return {task: (right[task], asked[task]) for task in sorted(asked)}


def _answered(model: MagicVLForConditionalGeneration, batch: Batch) -> Iterator[bool]:
    hits = (model_logits(model, batch).argmax(-1).cpu() == batch.labels) | (batch.labels == IGNORED)
    for number in range(1, int(batch.segments.max()) + 1):
        yield bool(hits[batch.segments == number].all())


def look(model: MagicVLForConditionalGeneration, batch: Batch) -> list[torch.Tensor]:
    """Visual tokens of a batch, (tokens, width) of each tile."""
    inner: MagicVLModel = model.model
    return inner.encode_tiles(batch.pixel_values.to(model.device), batch.spatial_shapes.to(model.device))


@dataclass(frozen=True)
class Reading:
    """What the decoder makes of a packed batch."""

    logits: torch.Tensor
    """(pictures, tokens, vocabulary)"""
    middle: torch.Tensor
    """(visual tokens, width): its states of them after half of its layers."""
    late: torch.Tensor
    """(pictures, tokens, width): its states of all before its last layer."""


def read_batch(model: MagicVLForConditionalGeneration, batch: Batch, seen: list[torch.Tensor]) -> Reading:
    """The decoder's pass over a packed batch; `seen` is what `look` gave."""
    device = model.device
    ids = batch.input_ids.to(device)
    output = model(
        input_ids=ids,
        position_ids=batch.positions.to(device),
        attention_mask=batch.mask.to(device),
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=seen)},  # type: ignore[arg-type]
        use_cache=False,
        output_hidden_states=True,
    )
    states = output.hidden_states
    return Reading(output.logits, states[len(states) // 2][ids == model.config.image_token_id], states[-2])


def model_logits(
    model: MagicVLForConditionalGeneration, batch: Batch, seen: list[torch.Tensor] | None = None
) -> torch.Tensor:
    """Logits (pictures, tokens, vocabulary) of a packed batch; `seen` is what `look` gave, if it was called."""
    return read_batch(model, batch, look(model, batch) if seen is None else seen).logits
