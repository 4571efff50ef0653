"""nanoVLM checkpoints in torch, float32, with pictures and prompts made as its own code makes them.

Written after https://github.com/huggingface/nanoVLM, data/*.py and generate.py. Its code is no package, so it stands
here a second time; the names of the checkpoint's tensors are those of the modules that it is loaded into.
"""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer

from magicvl.convert.checkpoint import read_json
from magicvl.convert.listening import listening
from magicvl.convert.reference import POSITIONS, Floats, Seen, Tile, block
from magicvl.convert.reference_nanovlm_model import NanoVLM, Past


class NanoVLMReference:
    """One loaded checkpoint."""

    def __init__(self, directory: Path, tokenizer: Path) -> None:
        """`tokenizer` is the directory of the language model's tokenizer, which the checkpoint comes without.

        Raises CheckpointError where the tensors are not those of config.json.
        """
        self.config = read_json(directory / "config.json")
        self.extra: dict[str, str] = self.config.get("vlm_extra_tokens") or {}
        more: dict[str, Any] = {"extra_special_tokens": self.extra} if self.extra else {}
        self.tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer, **more)
        self.model = NanoVLM(self.config)
        single = directory / "model.safetensors"
        files = [single] if single.is_file() else sorted(directory.glob("model-*.safetensors"))
        self.model.take({name: tensor for file in files for name, tensor in load_file(file).items()})
        self.model.train(False)

    def vocabulary(self) -> Mapping[int, str]:
        """Text of every token."""
        return {index: token for token, index in self.tokenizer.get_vocab().items()}

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text."""
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)
        return [int(token) for token in found.input_ids]

    def see(self, picture: Image.Image, prompt: str, tokens: int) -> Seen:
        """The picture and the prompt, answered greedily."""
        pixels, grid = self.tiles(picture)
        with torch.no_grad():
            tiles = self._encode(pixels)
            visual = torch.from_numpy(np.concatenate([tile.embeddings for tile in tiles]))
            ids = self._ids(prompt, grid, len(visual))
            embeddings = self.model.decoder.token_embedding(torch.tensor(ids).clamp(min=0))
            embeddings[torch.tensor(ids) == -1] = visual
            logits, answer, leads = self._answer(embeddings, tokens)
        return Seen(ids, tiles, logits, answer, leads)

    def tiles(self, picture: Image.Image) -> tuple[Tensor, tuple[int, int]]:
        """The tiles, (tiles, 3, side, side) in 0..1, an overview first where there is one, and rows and columns."""
        side = self.config["vit_img_size"]
        if not self.extra or self.config.get("max_img_size") is None:
            return _tensor(picture.resize((side, side), Image.Resampling.BILINEAR)), (1, 1)
        whole = _tensor(picture.resize(self._size(picture), Image.Resampling.BICUBIC))
        rows, columns = whole.shape[2] // side, whole.shape[3] // side
        tiles = whole.view(3, rows, side, columns, side).permute(1, 3, 0, 2, 4).reshape(-1, 3, side, side)
        if "global_image_token" in self.extra and len(tiles) > 1:
            overview = functional.interpolate(whole, (side, side), mode="bilinear", antialias=True, align_corners=False)
            tiles = torch.cat((overview, tiles))
        return tiles, (rows, columns)

    def _size(self, picture: Image.Image) -> tuple[int, int]:
        side, most = self.config["vit_img_size"], self.config["max_img_size"]
        long, short = max(picture.size), min(picture.size)
        enlarge = self.config.get("resize_to_max_side_len", False)
        to_long = most if enlarge else min(most, ceil(long / side) * side)
        to_short = max(side, ceil(short * (to_long / long) / side) * side)
        return (to_long, to_short) if picture.width >= picture.height else (to_short, to_long)

    def _ids(self, prompt: str, grid: tuple[int, int], visual: int) -> list[int]:
        if not self.extra:
            return [-1] * visual + self.tokenise(f"Question: {prompt} Answer:", special=True)
        turn = [{"role": "user", "content": self._place(grid) + prompt}]
        template = self.config["lm_chat_template"]
        text = self.tokenizer.apply_chat_template(
            turn, chat_template=template, tokenize=False, add_generation_prompt=True
        )
        image = self.tokenizer.convert_tokens_to_ids(self.extra["image_token"])
        return [-1 if token == image else token for token in self.tokenise(text, special=True)]

    def _place(self, grid: tuple[int, int]) -> str:
        """What stands in the prompt for a picture of so many rows and columns."""
        config, extra = self.config, self.extra
        side: int = config["vit_img_size"] // config["vit_patch_size"] // config["mp_pixel_shuffle_factor"]
        rows, columns = grid
        image = extra["image_token"] * side**2
        if "r1c1" not in extra:
            return image * (rows * columns)
        parts = [extra["global_image_token"] + image] if "global_image_token" in extra else []
        if not (parts and grid == (1, 1)):
            parts += [extra[f"r{row + 1}c{column + 1}"] + image for row in range(rows) for column in range(columns)]
        return "".join(parts)

    def _encode(self, pixels: Tensor) -> list[Tile]:
        encoder = self.model.vision_encoder
        modules = {POSITIONS: encoder.patch_embedding} | {block(i): each for i, each in enumerate(encoder.blocks)}
        with listening(modules, tiles=len(pixels)) as heard:
            embeddings = self.model.embed(pixels)
        return [
            Tile(
                size=(plane.shape[2], plane.shape[1]),
                pixels=np.ascontiguousarray(plane.permute(1, 2, 0).numpy()),
                blocks={name: outputs[i] for name, outputs in heard.items()},
                embeddings=embeddings[i].numpy(),
            )
            for i, plane in enumerate(pixels)
        ]

    def _answer(self, embeddings: Tensor, tokens: int) -> tuple[Floats, list[int], list[float]]:
        """Logits of the first token, and greedy ids with their leads."""
        first, answer, leads = None, list[int](), list[float]()
        past: Past | None = None
        for _ in range(tokens):
            logits, past = self.model.decoder(embeddings, past)
            first = logits if first is None else first
            best = logits.topk(2)
            answer.append(int(best.indices[0]))
            leads.append(float((best.values[0] - best.values[1]) / logits.std()))
            if answer[-1] == self.tokenizer.eos_token_id:
                break
            embeddings = self.model.decoder.token_embedding(torch.tensor(answer[-1:]))
        assert first is not None
        return first.numpy(), answer, leads


def _tensor(picture: Image.Image) -> Tensor:
    """(1, 3, height, width) in 0..1."""
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float().div(255)[None]
