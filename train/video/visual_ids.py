"""Visual tokens as ids: each visual token of each film has a number past every vocabulary.

    <|user|> 0 . 5 s <|image_start|> v v v v <|image_end|> ... Describe the video. <|assistant|>      v >= FIRST

So a film's prompt is a list of ids like any other. What handles texts (trainers, samplers, padding) needs to know
nothing of pictures, and the frozen encoder looks at a film once, however often it is trained on.
"""

from collections.abc import Callable

import torch

from magicvl.edge.plan import Plan

FIRST = 1 << 24
"""The first visual token of film 0. No vocabulary is as large."""
MOST = 1 << 16
"""Visual tokens of a film, at most."""


def visual_ids(film: int, count: int) -> list[int]:
    """The ids of a film's visual tokens, in order. Raises ValueError where it has too many."""
    if count > MOST:
        raise ValueError(f"{count:,} visual tokens in a film; at most {MOST:,} can be told apart")
    return [FIRST + film * MOST + number for number in range(count)]


def visual_token(one: Plan, x: float, y: float) -> int | None:
    """Which visual token of a frame shows a place in shares of its sides; None outside."""
    across, down = x * one.resized[0], y * one.resized[1]
    first = 0
    for tile, (left, top, right, bottom) in enumerate(one.tile_boxes):
        if tile != one.overview and left <= across < right and top <= down < bottom:
            columns = (right - left) // one.unit
            return first + int(down - top) // one.unit * columns + int(across - left) // one.unit
        first += one.tile_tokens[tile]
    return None


class VisualTokens:
    """Embeddings of films' visual tokens, computed when a film is first read and kept in half precision."""

    def __init__(self, look: Callable[[int], torch.Tensor]) -> None:
        self._look = look
        self._kept: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        """Films that were looked at."""
        return len(self._kept)

    def film(self, number: int) -> torch.Tensor:
        """(tokens, text width) of a film, float16, on the CPU."""
        if number not in self._kept:
            with torch.no_grad():
                self._kept[number] = self._look(number).to("cpu", torch.float16)
        return self._kept[number]

    def embed(self, ids: torch.Tensor, words: torch.nn.Module) -> torch.Tensor:
        """(rows, n, text width) of ids (rows, n): words by `words`, visual tokens by their film."""
        visual = ids >= FIRST
        embedded: torch.Tensor = words(ids.masked_fill(visual, 0))
        if not visual.any():
            return embedded
        wanted = (ids[visual] - FIRST).cpu()
        found = torch.empty(len(wanted), embedded.shape[-1], dtype=torch.float16)
        films = wanted // MOST
        for film in films.unique().tolist():
            here = films == film
            found[here] = self.film(film)[wanted[here] % MOST]
        return embedded.masked_scatter(visual[..., None], found.to(embedded.device, embedded.dtype))
