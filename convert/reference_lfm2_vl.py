"""LFM2-VL checkpoints in transformers' own classes and processor, float32.

The processor gives the patches of every tile, padded to the longest; what follows the last patch of a tile is left
out here. It needs torchvision, which nothing else of ours does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from magicvl.convert.checkpoint import read_json
from magicvl.convert.listening import listening
from magicvl.convert.reference import Tile
from magicvl.convert.reference_transformers import TransformersReference
from magicvl.errors import CheckpointError


class Lfm2VlReference(TransformersReference):
    """One loaded checkpoint; its processor cuts pictures its own way."""

    def _open_processor(self, directory: Path) -> Any:
        """Raises CheckpointError where torchvision is missing, or the checkpoint is of Liquid's first generation."""
        if (kind := read_json(directory / "config.json").get("model_type")) != "lfm2_vl":
            raise CheckpointError(
                f"{directory}: model_type {kind!r}; parity asks transformers, which loads 'lfm2_vl': save the "
                f"checkpoint with it first"
            )
        try:
            from transformers.models.lfm2_vl.image_processing_lfm2_vl import Lfm2VlImageProcessor
            from transformers.models.lfm2_vl.processing_lfm2_vl import Lfm2VlProcessor
        except ImportError:
            raise CheckpointError(
                f"{directory}: LFM2-VL's image processor needs torchvision: pip install torchvision, then ask again"
            ) from None
        tokenizer = AutoTokenizer.from_pretrained(directory)
        pictures = Lfm2VlImageProcessor.from_pretrained(directory)
        return Lfm2VlProcessor(pictures, tokenizer, chat_template=tokenizer.chat_template)

    def _tiles(self, inputs: Mapping[str, Any]) -> list[Tile]:
        keys = ("pixel_values", "spatial_shapes", "pixel_attention_mask")
        with listening(self._modules(), tiles=len(inputs["pixel_values"])) as heard:
            features = self.model.model.get_image_features(*(inputs[key] for key in keys)).pooler_output
        side = self.model.config.vision_config.patch_size
        made = []
        for i, (rows, columns) in enumerate(inputs["spatial_shapes"].tolist()):
            patches = inputs["pixel_values"][i, : rows * columns].float().numpy()
            grid = patches.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
            made.append(
                Tile(
                    size=(columns * side, rows * side),
                    pixels=np.ascontiguousarray(grid).reshape(rows * side, columns * side, 3),
                    blocks={name: outputs[i][: rows * columns] for name, outputs in heard.items()},
                    embeddings=features[i].float().numpy(),
                )
            )
        return made
