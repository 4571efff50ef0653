"""MagicVL as it learns captions: it reads visual tokens as ids, and a prompt that several rows share only once.

    rows of a group     P P P P A A A        computed:  P P P P  once, then each row's  A A A
                        P P P P B B B B                                                 B B B B

A group of eight answers to one film costs little more than half of what it would otherwise.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.models.lfm2_vl.modeling_lfm2_vl import Lfm2VlModelOutputWithPast

from magicvl.mmproj.configuration import MagicVLConfig
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration, MagicVLModel
from magicvl.train.video.unused_words import spread
from magicvl.train.video.visual_ids import FIRST, VisualTokens

PARTS = 8
"""In which rows of nearly one length are read behind what they share: four answers a part, of the usual 32."""


@dataclass(frozen=True)
class Shared:
    """What rows of ids have in common."""

    rows: torch.Tensor
    """(u,) the first row of each prompt."""
    prompt: torch.Tensor
    """(rows,) which prompt each row has, 0 to u - 1."""
    columns: int
    """So many columns from the left are the same in all rows of a prompt."""


class CaptionModel(MagicVLModel):
    """Encoder, projector and decoder; `films` gives the visual tokens that ids name."""

    films: VisualTokens | None = None

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """As MagicVL's. Ids from FIRST on are visual tokens; padding may stand on either side."""
        more = {"past_key_values": past_key_values, "use_cache": use_cache, **kwargs}
        if input_ids is None or self.films is None:
            return super().forward(input_ids, attention_mask, position_ids, **more)
        fresh = past_key_values is None and not use_cache and not self.language_model.gradient_checkpointing
        if fresh and attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if attention_mask is not None and position_ids is None:
            position_ids = positions(attention_mask)[:, -input_ids.shape[1] :]
        embedded = self.films.embed(input_ids, self.get_input_embeddings())
        if fresh and (found := shared(input_ids)) is not None:
            return self._read_shared(embedded, attention_mask, position_ids, found)
        return super().forward(None, attention_mask, position_ids, **(more | {"inputs_embeds": embedded}))

    def _read_shared(self, embedded: torch.Tensor, mask: Any, places: Any, found: Shared) -> Lfm2VlModelOutputWithPast:
        """Each prompt once, then all rows behind their prompts' keys and values; gradients flow through both."""
        cache = DynamicCache()
        columns = found.columns
        first = self.language_model(
            inputs_embeds=embedded[found.rows, :columns],
            attention_mask=mask[found.rows, :columns],
            position_ids=places[found.rows, :columns],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        rest = first.new_zeros(*embedded[:, columns:].shape)
        for rows, end in alike_rows(mask, columns + 1):
            rest[rows, : end - columns] = self.language_model(
                inputs_embeds=embedded[rows, columns:end],
                attention_mask=mask[rows, :end],
                position_ids=places[rows, columns:end],
                past_key_values=_of_prompts(cache, found.prompt[rows]),
                use_cache=True,
            ).last_hidden_state
        return Lfm2VlModelOutputWithPast(last_hidden_state=torch.cat([first[found.prompt], rest], dim=1))


class Captioner(MagicVLForConditionalGeneration):
    """MagicVL with its output head, around a CaptionModel."""

    def __init__(self, config: MagicVLConfig) -> None:
        super().__init__(config)
        self.model = CaptionModel(config)
        self.post_init()  # type: ignore[no-untyped-call]


def captioner_of(model: MagicVLForConditionalGeneration, *, untie: bool = False) -> Captioner:
    """A Captioner with a model's weights, all frozen; its `model.films` is still to be set.

    With `untie` its output head has a table of its own, with the same numbers, and words that were never met have
    vectors of their own at the input.
    """
    config: Any = model.config
    if untie:
        config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    made = Captioner(config)
    made.load_state_dict(model.state_dict())
    made.tie_weights()
    made.requires_grad_(False)
    if untie:
        words: Any = made.get_input_embeddings()
        spread(words.weight)
    made.train(False)
    return made


def _of_prompts(cache: DynamicCache, prompts: torch.Tensor) -> DynamicCache:
    """A cache with a row for each of these prompts, by their rows in another."""
    made, layers = DynamicCache(), list[Any](cache.layers)
    for number, layer in enumerate(layers):
        made.update(layer.keys[prompts], layer.values[prompts], number)
    return made


def alike_rows(mask: torch.Tensor, least: int) -> list[tuple[torch.Tensor, int]]:
    """All rows of a mask (rows, n), the longest first, in parts of nearly one length: which rows, and how many columns
    have all that counts in them, at least `least`.

    Answers are drawn as long as they become: in one part nearly half of what is computed would be padding.
    """
    ends = ((torch.arange(mask.shape[1], device=mask.device) + 1) * (mask > 0)).amax(1)
    ranked = ends.argsort(descending=True)
    return [(rows, max(least, int(ends[rows].max()))) for rows in ranked.split(max(1, -(-len(ranked) // PARTS)))]


def positions(mask: torch.Tensor) -> torch.Tensor:
    """(rows, n) places of tokens among those that count, from 0, wherever the padding is."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def shared(ids: torch.Tensor) -> Shared | None:
    """What rows (rows, n) of ids have in common as far as their films; None where no two rows have one film."""
    films = (ids >= FIRST).any(0).nonzero()
    if not len(films):
        return None
    prompts, which = ids[:, : int(films[-1]) + 1].unique(dim=0, return_inverse=True)
    if len(prompts) == len(ids):
        return None
    order = torch.arange(len(ids), device=ids.device)
    rows = torch.full((len(prompts),), len(ids), device=ids.device).scatter_reduce(0, which, order, "amin")
    differs = (ids != ids[rows][which]).any(0).nonzero()
    # At least one column is left to be read row by row.
    columns = min(int(differs[0]) if len(differs) else ids.shape[1], ids.shape[1] - 1)
    return Shared(rows, which, columns)
