"""The model as it is trained: one packed row in, sums of losses out; one call, as DDP and FSDP want it.

    patches -> encoder -> unshuffle -> projector -> visual tokens -> dense head -> sums of its losses
                                                          |
    ids -> embeddings, visual tokens in their places -> decoder -> sum of the answers' losses, and what was right

Encoder and decoder are transformers' own layers; what is ours here is that nothing is padded: all tiles are one long
row of patches and all samples one long row of tokens, parted by segments.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.attention import NAME, Segments
from magicvl.train.curriculum.conversation import IGNORED
from magicvl.train.curriculum.dense import KINDS, DenseHead, DenseTargets
from magicvl.train.curriculum.packing import Row
from magicvl.train.curriculum.stage import Stage


@dataclass
class Outcome:
    """What a row gives. Not frozen: DDP builds it anew."""

    answers: torch.Tensor
    """() sum of the cross-entropies of answer tokens, in nats."""
    dense: torch.Tensor
    """(KINDS,) sums of the dense targets' losses."""
    right: torch.Tensor
    """(answer tokens,) bool: whether the likeliest token is the right one."""


class Learner(nn.Module):
    """A MagicVL, which parts of it learn, and the head of the dense targets."""

    mean: torch.Tensor
    """(patch * patch * 3,) of the pixels, as bytes by 255."""
    std: torch.Tensor

    def __init__(self, model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, stage: Stage) -> None:
        super().__init__()
        self.model = model
        # Typed as possibly None or a dict.
        config: Any = model.config
        self.head = DenseHead(config.text_config.hidden_size) if stage.dense else None
        self.answers = stage.answers
        mean, std = (torch.tensor(each).repeat(processor.patch_size**2) for each in _colours(processor))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        config.text_config._attn_implementation = NAME
        config.vision_config._attn_implementation = NAME
        # What accelerate's FSDP wraps one by one.
        self._no_split_modules = ["Siglip2EncoderLayer", *(model.model.language_model._no_split_modules or [])]

    def forward(self, row: Row) -> Outcome:
        """Sums over the row; to be divided by what all rows of a step count."""
        seen = self.look(row)
        dense = seen.new_zeros(KINDS, dtype=torch.float32)
        if self.head is not None and row.dense is not None:
            dense = self.head.losses(seen, _to(row.dense, seen.device))
        elif self.head is not None:
            # Every weight takes part in every pass, or devices would wait for one another's gradients.
            dense = dense + 0.0 * self.head.linear(self.head.norm(seen[:1])).float().sum()
        if not self.answers:
            none = seen.new_zeros(0, dtype=torch.bool)
            return Outcome(0.0 * seen.float().sum(), dense, none)
        answers, right = self._answer(row, seen)
        return Outcome(answers, dense, right)

    def look(self, row: Row) -> torch.Tensor:
        """(v, text width): the row's visual tokens, tile by tile."""
        inner = self.model.model
        tower = inner.vision_tower
        device = self.mean.device
        pixels = (row.patches.to(device).float() / 255 - self.mean) / self.std
        hidden = tower.embeddings.patch_embedding(pixels) + _positions(tower.embeddings, row.shapes)
        segments = Segments.of([rows * columns for rows, columns in row.shapes], device)
        hidden = tower.encoder(inputs_embeds=hidden[None], attention_mask=segments).last_hidden_state
        hidden = tower.post_layernorm(hidden)[0]
        # Each token's patches one below the other, as a picture of `factor` columns: what the projector unshuffles.
        factor = inner.config.downsample_factor
        blocks = hidden[_unshuffle_order(row.shapes, factor, device)].view(1, -1, factor, hidden.shape[-1])
        tokens: torch.Tensor = inner.multi_modal_projector(blocks).flatten(0, 2)
        return tokens

    def _answer(self, row: Row, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the answers' losses, and which of their tokens would have been said."""
        hidden, labels = self.read(row, seen), row.labels.to(seen.device)
        asked = labels != IGNORED
        if not asked.any():
            return 0.0 * self.model.lm_head(hidden[:1]).float().sum(), asked[:0]
        # Logits of answers alone: those of all tokens would take more memory than all else.
        logits = self.model.lm_head(hidden[asked]).float()
        loss = F.cross_entropy(logits, labels[asked], reduction="sum")
        return loss, logits.argmax(-1) == labels[asked]

    def read(self, row: Row, seen: torch.Tensor) -> torch.Tensor:
        """(n, text width): what the decoder makes of the row, before its output head."""
        device = seen.device
        ids = row.ids.to(device)
        inner = self.model.model
        embedded = inner.get_input_embeddings()(ids)
        if row.blank:
            embedded = embedded + 0.0 * seen.sum()
        else:
            placed = seen if row.order is None else seen[row.order.to(device)]
            here = (ids == inner.config.image_token_id)[:, None]
            embedded = embedded.masked_scatter(here, placed.to(embedded.dtype))
        hidden: torch.Tensor = inner.language_model(
            inputs_embeds=embedded[None],
            position_ids=row.positions.to(device)[None],
            segments=Segments.of(row.lengths, device),
            use_cache=False,
        ).last_hidden_state[0]
        return hidden


def _positions(embeddings: Any, shapes: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """(p, width): the position table resized to every tile, each shape once."""
    side = embeddings.position_embedding_size
    table = embeddings.position_embedding.weight.reshape(side, side, -1)
    resized = {
        shape: embeddings.resize_positional_embeddings(table, torch.tensor([shape]), shape[0] * shape[1])[0]
        for shape in dict.fromkeys(shapes)
    }
    return torch.cat([resized[shape] for shape in shapes])


def _unshuffle_order(shapes: tuple[tuple[int, int], ...], factor: int, device: torch.device) -> torch.Tensor:
    """(p,): the patches of each visual token together, row by row within it."""
    known = {shape: _blocks(*shape, factor) for shape in dict.fromkeys(shapes)}
    parts, begin = [], 0
    for shape in shapes:
        parts.append(known[shape] + begin)
        begin += shape[0] * shape[1]
    return torch.cat(parts).to(device)


def _blocks(rows: int, columns: int, factor: int) -> torch.Tensor:
    numbers = torch.arange(rows * columns).view(rows // factor, factor, columns // factor, factor)
    return numbers.transpose(1, 2).reshape(-1)


def _to(targets: DenseTargets, device: torch.device) -> DenseTargets:
    return DenseTargets(**{name: value.to(device) for name, value in vars(targets).items()})


def _colours(processor: MagicVLProcessor) -> tuple[list[float], list[float]]:
    return processor.image_mean, processor.image_std
