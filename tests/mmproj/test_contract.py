"""The tensor tables against what they describe: torch's own names and shapes, and gguf's names."""

from collections.abc import Callable
from typing import Any

import gguf
import numpy as np
import pytest

from magicvl.convert.decoder import LLAMA_TENSORS, Decoder, decoder_tensors
from magicvl.convert.layout import to_checkpoint, to_gguf
from magicvl.edge.bundle import VisionInfo
from magicvl.mmproj.contract import MMPROJ_TENSORS, Layout, mmproj_tensors

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


@pytest.mark.parametrize("rule", LLAMA_TENSORS, ids=lambda rule: rule.target)
def test_decoder_names_are_those_of_gguf(rule: Any) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    source = rule.source.format(layer=1).replace("model.language_model.", "model.")
    assert names.get_name(source, try_suffixes=(".weight", ".bias")) == rule.target.format(layer=1)


@pytest.mark.parametrize("rule", MMPROJ_TENSORS, ids=lambda rule: rule.target)
def test_encoder_names_are_those_of_gguf(rule: Any) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, 2)
    source = rule.source.format(layer=1).removeprefix("model.")
    source = source.replace("vision_tower.", "vision_tower.vision_model.")
    known = names.get_name(source, try_suffixes=(".weight", ".bias"))
    assert known in (rule.target.format(layer=1), None)


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
