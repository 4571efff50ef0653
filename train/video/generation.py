"""Answers for many prompts at once: sampled, or the likeliest token each time.

A prompt that stands in the list several times is read once; answers that have ended leave the batch; keys and
values grow in place, where transformers' own cache copies them for every token.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from magicvl.train.video.captioner import positions

ROOM = 128
"""Tokens by which the cache grows."""
WORTH_LEAVING = 0.8
"""Rows that have ended are taken out when at most this share is left: taking out copies the cache."""


class RoomyLayer(DynamicLayer):
    """A layer's keys and values (rows, heads, n, width) with room for more; without gradients."""

    _room: torch.Tensor | None = None
    """(2, rows, heads, n and more, width): keys and values are views of it."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        """Adds columns; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        count = self.get_seq_length()
        end = count + key_states.shape[2]
        if self._room is None or self._room.shape[3] < end:
            rows, heads, length, width = key_states.shape
            room = key_states.new_empty(2, rows, heads, count + length + ROOM, width)
            if self._room is not None:
                room[:, :, :, :count] = self._room[:, :, :, :count]
            self._room = room
        for place, states in zip(self._room, (key_states, value_states), strict=True):
            place[:, :, count:end] = states
        self.keys, self.values = self._room[:, :, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Rows by their numbers, in any order and as often as they are named."""
        assert self._room is not None
        count = self.get_seq_length()
        self._room = self._room[:, indices]
        self.keys, self.values = self._room[:, :, :, :count]


@dataclass
class _Rows:
    """The answers that go on: all tensors have one row of each."""

    cache: Cache
    mask: torch.Tensor
    """(rows, tokens so far)"""
    place: torch.Tensor
    """(rows, 1) the place of the last token."""
    logits: torch.Tensor
    """(rows, vocabulary) of the next token."""
    answer: list[int]
    """Which answer each row is."""

    def pick(self, rows: list[int]) -> None:
        """Leaves these rows alone; one may be named several times."""
        which = torch.tensor(rows, device=self.mask.device)
        self.cache.batch_select_indices(which)
        self.mask, self.place, self.logits = self.mask[which], self.place[which], self.logits[which]
        self.answer = [self.answer[row] for row in rows]

    def read(self, model: Any, tokens: torch.Tensor) -> None:
        """Reads one more token (rows,) in each row."""
        self.place = self.place + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        self.logits = model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=self.place,
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]


@torch.no_grad()
def generate(model: Any, prompts: list[list[int]], *, temperature: float = 0.0, most: int, end: int) -> list[list[int]]:
    """An answer to each prompt, as token ids; each ends with `end`, or after `most` tokens.

    `model` is a Captioner, or PEFT's around one. At temperature 0 the likeliest token is taken, else tokens are drawn
    by torch's own random state.
    """
    rows = _read_prompts(model, prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(most):
        tokens = _choose(rows.logits, temperature)
        for number, token in zip(rows.answer, tokens.tolist(), strict=True):
            if answers[number][-1:] != [end]:
                answers[number].append(token)
        going = [row for row, number in enumerate(rows.answer) if answers[number][-1] != end]
        if not going:
            break
        if len(going) <= WORTH_LEAVING * len(rows.answer):
            rows.pick(going)
            tokens = tokens[going]
        rows.read(model, tokens)
    return answers


def padded(rows: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (rows, longest), padded on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def _read_prompts(model: Any, prompts: list[list[int]]) -> _Rows:
    once = {tuple(prompt): number for number, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids, mask = (each.to(model.device) for each in padded([list(prompt) for prompt in once], 0))
    cache, places = Cache(layer_class_to_replicate=RoomyLayer), positions(mask)
    given = {"attention_mask": mask, "position_ids": places, "past_key_values": cache, "use_cache": True}
    logits = model(input_ids=ids, logits_to_keep=1, **given).logits[:, -1]
    rows = _Rows(cache, mask, places[:, -1:], logits, list(range(len(once))))
    rows.pick([once[tuple(prompt)] for prompt in prompts])
    rows.answer = list(range(len(prompts)))
    return rows


def _choose(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """(rows,) the next token of each row."""
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits.float() / temperature).softmax(-1), 1)[:, 0]
