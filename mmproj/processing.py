"""The Hugging Face processor: messages and pictures in, tensors out, by the same plan and pixels as the phone."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoProcessor, PreTrainedTokenizerBase
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin

from magicvl.edge.pixels import PictureSource, Pixels, cut, open_picture
from magicvl.edge.plan import Grid, Plan, plan
from magicvl.edge.prompt import Message, Pieces, Spoken, Text, Tile, expand, render
from magicvl.errors import CheckpointError
from magicvl.mmproj.configuration import MagicVLConfig


class MagicVLProcessor(ProcessorMixin):
    """Turns messages into `input_ids` and pictures into patches.

    Fields are those of the bundle's lock: the grid (`patch_size`, `downsample_factor`, `tile_size`, `max_tiles`,
    `policy`, `min_tokens`), `image_mean` and `image_std` per channel, `picture_pieces`, and `image_token`, the
    vocabulary's placeholder for one visual token.
    """

    attributes: ClassVar[list[str]] = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(  # noqa: PLR0913, PLR0917 - each is a field of processor_config.json
        self,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int = 16,
        downsample_factor: int = 2,
        tile_size: int = 384,
        max_tiles: int = 24,
        image_mean: Sequence[float] = (0.5, 0.5, 0.5),
        image_std: Sequence[float] = (0.5, 0.5, 0.5),
        image_token: str = "<|image|>",
        picture_pieces: dict[str, str] | None = None,
        policy: str = "native",
        chat_template: str | None = None,
        min_tokens: int = 1,
        **kwargs: Any,
    ) -> None:
        self.patch_size = patch_size
        self.downsample_factor = downsample_factor
        self.tile_size = tile_size
        self.max_tiles = max_tiles
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)
        self.image_token = image_token
        self.picture_pieces = picture_pieces or dict(vars(Pieces()))
        self.policy = policy
        self.min_tokens = min_tokens
        template = chat_template or tokenizer.chat_template
        super().__init__(tokenizer, chat_template=template, **kwargs)  # type: ignore[no-untyped-call]

    @property
    def grid(self) -> Grid:
        """The grid that plans are made with."""
        unit = self.patch_size * self.downsample_factor
        return Grid(unit, self.tile_size, self.max_tiles, self.policy, min_tokens=self.min_tokens)

    @property
    def image_token_id(self) -> int:
        """The id of the placeholder. Raises CheckpointError where the vocabulary lacks it."""
        found = self.tokenizer.get_vocab().get(self.image_token)
        if found is None:
            raise CheckpointError(f"the tokenizer lacks {self.image_token!r}; add it as a special token")
        return int(found)

    def __call__(
        self,
        messages: Sequence[Message],
        pictures: Sequence[PictureSource] = (),
        budget: int | None = None,
        answer: bool = True,
    ) -> BatchFeature:
        """One conversation with its pictures, as a batch of one.

        Gives `input_ids` and `attention_mask` (1, tokens), and with pictures `pixel_values`
        (tiles, most patches, 768), `spatial_shapes` (tiles, 2) and `pixel_attention_mask` (tiles, most patches).
        """
        opened = [open_picture(picture) for picture in pictures]
        plans = [plan(*picture.size, self.grid, budget) for picture in opened]
        ids = self.token_ids(messages, plans, answer=answer)
        data: dict[str, torch.Tensor] = {
            "input_ids": torch.tensor([ids]),
            "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        }
        tiles = [tile for picture, its in zip(opened, plans, strict=True) for tile in cut(picture, its)]
        if tiles:
            data |= self.patches(tiles)
        return BatchFeature(data)

    def token_ids(self, messages: Sequence[Message], plans: Sequence[Plan], *, answer: bool = True) -> list[int]:
        """Token ids of the conversation, each visual token as the placeholder."""
        tokenizer = self.tokenizer
        segments = render(
            str(self.chat_template),
            messages,
            bos=tokenizer.bos_token or "",
            eos=tokenizer.eos_token or "",
            answer=answer,
        )
        ids: list[int] = []
        for part in expand(segments, plans, Pieces(**self.picture_pieces)):
            if isinstance(part, Tile):
                ids += [self.image_token_id] * plans[part.picture].tile_tokens[part.tile]
            elif isinstance(part, Spoken):
                ids += part.tokens
            else:
                ids += self.text_ids(part)
        return ids

    def text_ids(self, text: Text) -> list[int]:
        """Token ids of one segment; special tokens are recognised only where it allows them."""
        ids: list[int] = self.tokenizer(
            text.text, add_special_tokens=False, split_special_tokens=not text.special
        ).input_ids
        return ids

    def patches(self, tiles: Sequence[Pixels]) -> dict[str, torch.Tensor]:
        """uint8 tiles (height, width, 3) as normalised patches, padded to the largest with zeros."""
        flat = [self._flatten(tile) for tile in tiles]
        most = max(len(patches) for patches in flat)
        values = np.zeros((len(tiles), most, flat[0].shape[1]), dtype=np.float32)
        mask = np.zeros((len(tiles), most), dtype=np.int64)
        for i, patches in enumerate(flat):
            values[i, : len(patches)] = patches
            mask[i, : len(patches)] = 1
        sides = [(tile.shape[0] // self.patch_size, tile.shape[1] // self.patch_size) for tile in tiles]
        return {
            "pixel_values": torch.from_numpy(values),
            "spatial_shapes": torch.tensor(sides),
            "pixel_attention_mask": torch.from_numpy(mask),
        }

    def _flatten(self, tile: Pixels) -> npt.NDArray[np.float32]:
        """(height, width, 3) uint8 -> (patches, patch * patch * 3) float32, channel fastest as in Siglip2."""
        side = self.patch_size
        rows, columns = tile.shape[0] // side, tile.shape[1] // side
        mean = np.asarray(self.image_mean, dtype=np.float32)
        std = np.asarray(self.image_std, dtype=np.float32)
        scaled = (tile.astype(np.float32) / np.float32(255) - mean) / std
        blocks = scaled.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
        return blocks.reshape(rows * columns, side * side * 3)


AutoProcessor.register(MagicVLConfig, MagicVLProcessor)
