"""MagicVL in torch: the reference that every conversion is compared with.

    tiles (n, patches, 768) -> Siglip2 encoder -> unshuffle 2x2 -> LayerNorm, Linear, GELU, Linear -> decoder

transformers' own modules throughout: Siglip2VisionModel, the projector of LFM2-VL, and any decoder.
"""

from typing import Any

import torch
from transformers import AutoModelForImageTextToText, Lfm2VlForConditionalGeneration, Lfm2VlModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from magicvl.mmproj.configuration import MagicVLConfig


class MagicVLModel(Lfm2VlModel):
    """Encoder, projector and decoder without the output head."""

    config: MagicVLConfig

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        spatial_shapes: torch.Tensor,
        pixel_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Visual embeddings of each tile, in `pooler_output`: a list of (tokens, text width).

        `pixel_values` is (tiles, most patches, 3 * patch * patch), `spatial_shapes` (tiles, 2) holds rows and
        columns of patches. Tiles of one shape run together and at their own size: no pad is ever computed, so
        the mask that the processor gives (transformers' convention) is not needed.
        """
        tokens = self.encode_tiles(pixel_values, spatial_shapes)
        return BaseModelOutputWithPooling(pooler_output=tokens)  # type: ignore[arg-type] # as LFM2-VL does

    def encode_tiles(self, pixel_values: torch.Tensor, spatial_shapes: torch.Tensor) -> list[torch.Tensor]:
        """Visual embeddings (tokens, text width) of each tile; arguments as in `get_image_features`."""
        features: dict[int, torch.Tensor] = {}
        shapes = [(int(rows), int(columns)) for rows, columns in spatial_shapes.tolist()]
        for shape in dict.fromkeys(shapes):
            members = [i for i, other in enumerate(shapes) if other == shape]
            tokens = self._encode(pixel_values[members, : shape[0] * shape[1]], shape)
            for i, member in enumerate(members):
                features[member] = tokens[i]
        return [features[i] for i in range(len(shapes))]

    def _encode(self, patches: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """(tiles, rows * columns, 768) -> (tiles, rows * columns / 4, text width)."""
        spatial = torch.tensor([shape] * len(patches), device=patches.device)
        hidden = self.vision_tower(
            pixel_values=patches, pixel_attention_mask=None, spatial_shapes=spatial
        ).last_hidden_state
        projected: torch.Tensor = self.multi_modal_projector(hidden.reshape(len(patches), *shape, -1))
        return projected.flatten(1, 2)


class MagicVLForConditionalGeneration(Lfm2VlForConditionalGeneration):
    """MagicVL with its output head: `from_pretrained`, `generate`, and a loss where `labels` are given."""

    config_class = MagicVLConfig

    def __init__(self, config: MagicVLConfig) -> None:
        super().__init__(config)
        self.model = MagicVLModel(config)
        self.post_init()  # type: ignore[no-untyped-call]


AutoModelForImageTextToText.register(MagicVLConfig, MagicVLForConditionalGeneration)
