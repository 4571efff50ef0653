"""The tensor tables against what they describe: torch's own names and shapes, and gguf's names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gguf
import numpy as np
import pytest

from magicvl.convert.decoder import Decoder, decoder_tensors
from magicvl.convert.layout import to_checkpoint, to_gguf
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.mmproj.contract import (
    MMPROJ_TENSORS,
    PROJECTORS,
    Layout,
    VisionNames,
    kept_type,
    mmproj_keys,
    mmproj_tensors,
    mmproj_values,
)

VISION = VisionInfo(
    width=64, layers=2, heads=2, feed_forward=128, patch=16, unshuffle=2, positions=24, projector_width=128
)
DECODER = Decoder(
    architecture="llama",
    width=128,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=32,
    feed_forward=256,
    vocabulary=384,
    context=8192,
    rope_theta=1e4,
    norm_eps=1e-6,
    tied=False,
    attention_bias=True,
    mlp_bias=True,
    output_bias=True,
)


def test_the_tables_are_the_models_state(build_tiny: Callable[..., Any]) -> None:
    text = {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}
    state = build_tiny(text=text).state_dict()
    due = mmproj_tensors(VISION, 128) + decoder_tensors(DECODER)
    assert {tensor.source: tensor.shape for tensor in due} == {
        name: tuple(weight.shape) for name, weight in state.items()
    }


def test_names_are_unique() -> None:
    due = mmproj_tensors(VISION, 128) + decoder_tensors(DECODER)
    assert len({tensor.target for tensor in due}) == len({tensor.source for tensor in due}) == len(due)
    assert max(len(tensor.target) for tensor in due) < 64


@pytest.mark.parametrize("rule", MMPROJ_TENSORS, ids=lambda rule: f"{rule.target}-{rule.when}")
def test_encoder_names_are_those_of_gguf(rule: Any) -> None:
    """What gguf knows by transformers' names it must know by ours; LLaVA counts its linear layers from 0."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, 2)
    source = rule.source.format(layer=1).replace("tower.", "vision_tower.vision_model.")
    source = source.replace("projector.linear.", "model.connector.modality_projection.proj.")
    if source.startswith("projector."):
        source = f"multi_modal_{source}"
    known = names.get_name(source, try_suffixes=(".weight", ".bias"))
    assert known in (rule.target.format(layer=1), None) or rule.when == "mlp"


@pytest.mark.parametrize("projector", PROJECTORS)
def test_each_graph_has_its_own_tensors_and_keys(projector: str) -> None:
    hidden = None if projector == "idefics3" else 128
    vision = replace(VISION, projector=projector, projector_width=hidden)
    targets = {tensor.target for tensor in mmproj_tensors(vision, 128)}
    assert ("v.post_ln.weight" in targets) == (projector != "mlp")
    assert {name for name in targets if name.startswith("mm.") and name.endswith("weight")} == {
        "lfm2": {"mm.input_norm.weight", "mm.1.weight", "mm.2.weight"},
        "idefics3": {"mm.model.fc.weight"},
        "mlp": {"mm.0.weight", "mm.2.weight"},
    }[projector]
    keys = {rule.key for rule in mmproj_keys(vision)}
    values = mmproj_values(vision, PictureInfo(400, 9, (0.5,) * 3, (0.5,) * 3), text_width=128, norm_eps=1e-6)
    written = {"file_kind", "name", "file_type", "quantization_version"}
    assert {rule.value for rule in mmproj_keys(vision)} <= values.keys() | written
    assert ("clip.vision.projector.scale_factor" in keys) == (projector != "mlp")
    assert ("clip.vision.feature_layer" in keys) == (projector == "mlp")
    assert values["image_size"] == (384 if projector == "lfm2" else 400)
    assert kept_type("v.patch_embd.weight", projector) == ("F32" if projector == "idefics3" else "F16")
    assert kept_type("v.position_embd.weight", projector) == "F32"
    assert kept_type("mm.2.weight", projector) is None


def test_a_fused_attention_is_one_tensor_in_place_of_three() -> None:
    names = VisionNames(flat_patches=False, fused_attention=True, batched_positions=True)
    vision = replace(VISION, projector="idefics3", projector_width=None)
    shapes = {tensor.target: tensor.shape for tensor in mmproj_tensors(vision, 128, names=names)}
    assert shapes["v.blk.1.attn_qkv.weight"] == (192, 64) and shapes["v.blk.1.attn_qkv.bias"] == (192,)
    assert not {name for name in shapes if ".attn_q." in name or ".attn_k." in name or ".attn_v." in name}
    assert shapes["v.position_embd.weight"] == (1, 576, 64)
    assert shapes["v.patch_embd.weight"] == (64, 3, 16, 16)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout.SAME, (6, 5)),
        (Layout.PATCHES, (5, 48)),
        (Layout.ROTARY_HEADS, (24, 7)),
        (Layout.ROTARY_KV_HEADS, (12,)),
    ],
)
def test_every_layout_has_its_way_back(layout: Layout, shape: tuple[int, ...]) -> None:
    sizes = {"patch": 4, "heads": 4, "kv_heads": 2}
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    there = to_gguf(array, layout, sizes)
    assert layout is Layout.SAME or not np.array_equal(there.ravel(), array.ravel())
    assert np.array_equal(to_checkpoint(there, layout, sizes), array)
