"""Idefics3, SmolVLM and LLaVA checkpoints in transformers' own classes and processors, float32."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from magicvl.convert.listening import listening
from magicvl.convert.reference import POSITIONS, Seen, Tile, block


class TransformersReference:
    """One loaded checkpoint; its processor cuts pictures its own way."""

    def __init__(self, directory: Path) -> None:
        self.processor: Any = self._open_processor(directory)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32).eval()
        config = self.model.config
        self._image = int(getattr(config, "image_token_id", None) or config.image_token_index)

    def _open_processor(self, directory: Path) -> Any:
        return AutoProcessor.from_pretrained(directory)

    def vocabulary(self) -> Mapping[int, str]:
        """Text of every token."""
        return {index: token for token, index in self.processor.tokenizer.get_vocab().items()}

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text."""
        found = self.processor.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)
        return [int(token) for token in found.input_ids]

    def see(self, picture: Image.Image, prompt: str, tokens: int) -> Seen:
        """The picture and the prompt, answered greedily."""
        turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
        text = self.processor.apply_chat_template(turn, add_generation_prompt=True)
        inputs = self.processor(images=[picture], text=text, return_tensors="pt")
        with torch.no_grad():
            tiles = self._tiles(inputs)
            made = self.model.generate(
                **inputs, max_new_tokens=tokens, do_sample=False, output_logits=True, return_dict_in_generate=True
            )
        ids = [-1 if token == self._image else int(token) for token in inputs["input_ids"][0].tolist()]
        steps = torch.cat(made.logits)
        best = steps.topk(2).values
        leads = ((best[:, 0] - best[:, 1]) / steps.std(dim=-1)).tolist()
        answer = [int(token) for token in made.sequences[0, len(ids) :]]
        return Seen(ids, tiles, steps[0].numpy(), answer, leads)

    def _tiles(self, inputs: Mapping[str, Any]) -> list[Tile]:
        """What the encoder makes of the processor's tiles, which are all of one size."""
        pixels = inputs["pixel_values"].flatten(0, -4)
        extra = {key: inputs[key] for key in ("pixel_attention_mask",) if key in inputs}
        with listening(self._modules(), tiles=len(pixels)) as heard:
            features = self.model.model.get_image_features(inputs["pixel_values"], **extra).pooler_output
        embeddings = torch.cat([each.reshape(-1, each.shape[-1]) for each in features]).chunk(len(pixels))
        return [
            Tile(
                size=(plane.shape[2], plane.shape[1]),
                pixels=np.ascontiguousarray(plane.permute(1, 2, 0).float().numpy()),
                blocks={name: outputs[i] for name, outputs in heard.items()},
                embeddings=embeddings[i].float().numpy(),
            )
            for i, plane in enumerate(pixels)
        ]

    def _modules(self) -> dict[str, torch.nn.Module]:
        """The encoder's stages, wherever the class keeps them."""
        modules = dict(self.model.named_modules())
        where = next(name for name in modules if "vision" in name and name.endswith("encoder.layers"))
        stages = {POSITIONS: modules[where.removesuffix("encoder.layers") + "embeddings"]}
        return stages | {block(i): layer for i, layer in enumerate(modules[where])}
