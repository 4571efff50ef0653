"""MagicVL checkpoints in torch, float32.

Plan and pixels are made here a second time, by fractions and by Pillow's resize itself, because training and the
phone share their code for both: a fault in it would be on both sides.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor, prod
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from magicvl.convert.listening import listening
from magicvl.convert.reference import POSITIONS, Floats, Seen, Tile, block
from magicvl.edge.plan import Grid, Plan
from magicvl.edge.prompt import Text, ask_messages
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor


class MagicVLReference:
    """One loaded checkpoint."""

    def __init__(self, directory: Path) -> None:
        self.processor = MagicVLProcessor.from_pretrained(directory)
        self.model = MagicVLForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)
        self.model.train(False)

    def vocabulary(self) -> Mapping[int, str]:
        """Text of every token."""
        return {index: token for token, index in self.processor.tokenizer.get_vocab().items()}

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text."""
        return self.processor.text_ids(Text(text, special))

    def see(self, picture: Image.Image, prompt: str, tokens: int) -> Seen:
        """The picture and the prompt, answered greedily."""
        plan = self._plan(picture)
        ids = self.processor.token_ids(ask_messages(prompt, 1), [plan])
        with torch.no_grad():
            tiles = [self._encode(pixels) for pixels in self._pixels(picture, plan)]
            logits, answer, leads = self._answer(ids, tiles, tokens)
        image = self.processor.image_token_id
        return Seen([-1 if token == image else token for token in ids], tiles, logits, answer, leads)

    def _plan(self, picture: Image.Image) -> Plan:
        """Each side to the nearest whole token, halves up, larger where there are too few; no limit may bind."""
        grid = self.processor.grid
        width, height = (side * grid.unit for side in _sides(picture, grid))
        corners = [(left, top) for top in range(0, height, grid.tile) for left in range(0, width, grid.tile)]
        boxes = tuple((x, y, min(width, x + grid.tile), min(height, y + grid.tile)) for x, y in corners)
        return Plan(
            *picture.size,
            resized=(width, height),
            tile_boxes=boxes,
            columns=ceil(Fraction(width, grid.tile)),
            tile_tokens=tuple((right - x) * (bottom - y) // grid.unit**2 for x, y, right, bottom in boxes),
            scale=1.0,
        )

    def _pixels(self, picture: Image.Image, plan: Plan) -> list[Floats]:
        """The normalised pixels of each tile, (height, width, 3)."""
        resized = np.asarray(picture.resize(plan.resized, Image.Resampling.BILINEAR), dtype=np.float64)
        normal = (resized / 255 - np.asarray(self.processor.image_mean)) / np.asarray(self.processor.image_std)
        return [normal[top:bottom, left:right].astype(np.float32) for left, top, right, bottom in plan.tile_boxes]

    def _encode(self, pixels: Floats) -> Tile:
        size = (pixels.shape[1], pixels.shape[0])
        side = self.processor.patch_size
        rows, columns = size[1] // side, size[0] // side
        blocks = pixels.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
        patches = torch.from_numpy(np.ascontiguousarray(blocks).reshape(1, rows * columns, -1))
        tower = self.model.model.vision_tower
        modules = {POSITIONS: tower.embeddings} | {block(i): layer for i, layer in enumerate(tower.encoder.layers)}
        with listening(modules, tiles=1) as heard:
            embeddings = self.model.model.encode_tiles(patches, torch.tensor([[rows, columns]]))[0]
        return Tile(size, pixels, {name: outputs[0] for name, outputs in heard.items()}, embeddings.numpy())

    def _answer(self, ids: list[int], tiles: list[Tile], tokens: int) -> tuple[Floats, list[int], list[float]]:
        """Logits of the first token, and greedy ids with their leads: step by step, so that nothing is assumed."""
        stops = self._stops()
        embeddings = self.model.get_input_embeddings()(torch.tensor([ids]))
        visual = torch.from_numpy(np.concatenate([tile.embeddings for tile in tiles]))
        embeddings[0, torch.tensor(ids) == self.processor.image_token_id] = visual
        output = self.model.model.language_model(inputs_embeds=embeddings, use_cache=True)
        first, answer, leads = None, [], []
        for _ in range(tokens):
            logits = self.model.lm_head(output.last_hidden_state[:, -1])[0]
            first = logits if first is None else first
            best = logits.topk(2)
            answer.append(int(best.indices[0]))
            leads.append(float((best.values[0] - best.values[1]) / logits.std()))
            if answer[-1] in stops:
                break
            output = self.model.model.language_model(
                input_ids=torch.tensor([[answer[-1]]]), past_key_values=output.past_key_values, use_cache=True
            )
        assert first is not None
        return first.numpy(), answer, leads

    def _stops(self) -> set[int]:
        generation = self.model.generation_config.eos_token_id
        more = generation if isinstance(generation, list) else [generation]
        return {int(each) for each in (self.processor.tokenizer.eos_token_id, *more) if each is not None}


def _sides(picture: Image.Image, grid: Grid) -> list[int]:
    """Visual tokens across and down; the long side grows by one until they are as many as the grid wants."""

    def nearest(scale: Fraction) -> list[int]:
        return [max(1, floor(side * scale + Fraction(1, 2))) for side in picture.size]

    sides = nearest(Fraction(1, grid.unit))
    while prod(sides) < grid.min_tokens:
        sides = nearest(Fraction(max(sides) + 1, max(picture.size)))
    return sides
