"""The Hugging Face configuration of MagicVL.

The layout is that of LFM2-VL in transformers, which has this very graph: a Siglip2 encoder with positions
resized to each grid, a 2x2 unshuffle, LayerNorm, Linear, GELU, Linear, and a decoder.
"""

from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, Lfm2VlConfig, Siglip2VisionConfig

from magicvl.edge.plan import Grid
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.presets import Preset


class MagicVLConfig(Lfm2VlConfig):
    """Lfm2VlConfig plus how pictures are cut and what stands around their tiles.

    `tile_size` (px) and `max_tiles` bound the plan, `policy` is how it cuts (`native` or `internvl`), `min_tokens` the
    fewest visual tokens of a picture;
    `picture_pieces` are the texts before a picture, between tiles of a row, between rows, and after it. `film_tracks`
    says that films are described with tracks (magicvl.edge.video.description).
    """

    model_type = "magicvl"

    projector_hidden_act: str = "gelu_pytorch_tanh"
    tile_size: int = 384
    max_tiles: int = 24
    policy: str = "native"
    min_tokens: int = 1
    picture_pieces: dict[str, str] | None = None
    film_tracks: bool = False

    @property
    def grid(self) -> Grid:
        """The grid that plans are made with."""
        patch = int(getattr(self.vision_config, "patch_size"))  # noqa: B009 - typed as possibly None or a dict
        unit = patch * self.downsample_factor
        return Grid(unit, self.tile_size, self.max_tiles, self.policy, min_tokens=self.min_tokens)

    @property
    def pieces(self) -> Pieces:
        """What stands around the tiles in the prompt."""
        return Pieces(**(self.picture_pieces or {}))


def config_from_preset(preset: Preset, **language: Any) -> MagicVLConfig:
    """A configuration of the preset's shape; `language` overrides fields of the decoder's config."""
    vision, text = preset.vision, preset.language
    text_fields: dict[str, Any] = {
        "hidden_size": text.width,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "head_dim": text.head_dim,
        "intermediate_size": text.feed_forward,
        "vocab_size": text.vocabulary,
        "max_position_embeddings": text.context,
        "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta},
        "rms_norm_eps": text.norm_eps,
        "tie_word_embeddings": text.tied,
    }
    return MagicVLConfig(
        vision_config=Siglip2VisionConfig(
            hidden_size=vision.width,
            num_hidden_layers=vision.layers,
            num_attention_heads=vision.heads,
            intermediate_size=vision.feed_forward,
            patch_size=vision.patch,
            num_patches=vision.positions**2,
            vision_use_head=False,
        ),
        text_config=CONFIG_MAPPING[text.model_type](**(text_fields | language)),
        projector_hidden_size=preset.projector_width,
        tie_word_embeddings=text.tied,
    )


AutoConfig.register(MagicVLConfig.model_type, MagicVLConfig)
