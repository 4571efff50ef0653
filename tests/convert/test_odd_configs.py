"""Whatever stands in a checkpoint's configuration, what comes of it is a Source or one line."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from magicvl.convert import sources
from magicvl.convert.checkpoint import Checkpoint
from magicvl.errors import CheckpointError

TEXT = {
    "model_type": "llama", "hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2,
    "num_key_value_heads": 2, "intermediate_size": 256, "vocab_size": 300, "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "tie_word_embeddings": True,
}  # fmt: skip
LFM2 = {**TEXT, "model_type": "lfm2", "block_auto_adjust_ff_dim": False, "full_attn_idxs": [1], "conv_L_cache": 3}
VISION = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 64,
    "patch_size": 8, "num_patches": 64, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
}  # fmt: skip
MEANS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
CONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "idefics3": (
        {"model_type": "idefics3", "vision_config": VISION, "text_config": TEXT, "scale_factor": 2},
        {"size": {"longest_edge": 256}, "max_image_size": {"longest_edge": 64}, "do_image_splitting": True, **MEANS},
    ),
    "llava": (
        {
            "model_type": "llava", "vision_config": {**VISION, "model_type": "siglip_vision_model"},
            "text_config": {**TEXT, "model_type": "qwen2"}, "vision_feature_select_strategy": "full",
            "vision_feature_layer": -2, "image_token_index": 5,
        },
        {"size": {"height": 64, "width": 64}, "rescale_factor": 1 / 255, **MEANS},
    ),
    "lfm2_vl": (
        {
            "model_type": "lfm2_vl", "vision_config": {**VISION, "model_type": "siglip2_vision_model"},
            "text_config": LFM2, "projector_hidden_size": 96, "vision_feature_layer": -1, "image_token_id": 5,
        },
        {
            "tile_size": 64, "encoder_patch_size": 8, "min_image_tokens": 4, "max_image_tokens": 16, "min_tiles": 2,
            "max_tiles": 6, "use_thumbnail": True, **MEANS,
        },
    ),
    "magicvl": (
        {
            "model_type": "magicvl", "vision_config": {**VISION, "model_type": "siglip2_vision_model"},
            "text_config": TEXT, "projector_hidden_size": 96, "tile_size": 384, "picture_pieces": {},
        },
        {"patch_size": 8, "downsample_factor": 2, "tile_size": 384, "max_tiles": 24, "picture_pieces": {}, **MEANS},
    ),
    "nanovlm": (
        {
            "vit_hidden_dim": 64, "vit_inter_dim": 128, "vit_patch_size": 8, "vit_img_size": 64, "vit_n_heads": 2,
            "vit_n_blocks": 2, "lm_hidden_dim": 128, "lm_inter_dim": 256, "lm_rms_eps": 1e-5, "lm_re_base": 1e4,
            "lm_max_position_embeddings": 512, "lm_vocab_size": 300, "lm_n_heads": 4, "lm_n_kv_heads": 2,
            "lm_n_blocks": 2, "mp_pixel_shuffle_factor": 4, "max_img_size": 256, "lm_chat_template": "x",
            "vlm_extra_tokens": {"image_token": "<i>"},
        },
        {},
    ),
}  # fmt: skip
ODD = (None, -1, 7, float("nan"), "word", [1, "a"], {"a": 1})


@pytest.mark.parametrize("layout", CONFIGS)
def test_an_odd_value_anywhere_is_one_line(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}<image>{% endfor %}")
    (tmp_path / "tokenizer.json").write_text("{}")
    refused = 0
    for config, processor in odd_pairs(*CONFIGS[layout]):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        (tmp_path / "processor_config.json").write_text(json.dumps(processor))
        checkpoint = Checkpoint(tmp_path, config, {}, tmp_path)
        monkeypatch.setattr(sources, "open_checkpoint", lambda *_, its=checkpoint: its)
        try:
            sources.open_source(tmp_path)
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


def odd_pairs(config: dict[str, Any], processor: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Both files with every key in turn missing or odd."""
    for changed in _odd(config):
        yield changed, processor
    for changed in _odd(processor):
        yield config, changed


def _odd(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in _paths(data):
        for value in ODD:
            changed = deepcopy(data)
            _holder(changed, path)[path[-1]] = value
            yield changed
        changed = deepcopy(data)
        del _holder(changed, path)[path[-1]]
        yield changed


def _paths(data: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *inner) for inner in _paths(value))


def _holder(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path[:-1]:
        data = data[key]
    return data
