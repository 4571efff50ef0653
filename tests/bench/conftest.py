"""Shapes as small as they come: what takes minutes at full size takes tenths of a second."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from magicvl.bench.peer_shapes import PEERS, Peer
from magicvl.bench.shape_bundle import shape_bundle
from magicvl.mmproj.presets import LanguageShape, Preset, VisionShape

SMALL = Preset(
    "small",
    VisionShape(width=64, layers=2, heads=2, feed_forward=128),
    projector_width=128,
    language=LanguageShape("qwen3", 256, 2, 4, 2, 64, 512, 1000, 8192, 1e6, 1e-6),
)


@pytest.fixture(scope="session")
def small_preset() -> Preset:
    return SMALL


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `small_preset`'s shape. Do not write into it."""
    return shape_bundle(SMALL, tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="session")
def small_peers() -> Sequence[Peer]:
    """The table's models with every size cut down; tiles and patches are their own."""
    return [
        replace(
            peer,
            decoder=replace(
                peer.decoder, width=256, layers=2, heads=2, kv_heads=2, head_dim=128, feed_forward=256, vocabulary=1000
            ),
            vision=replace(
                peer.vision,
                width=64,
                layers=1,
                heads=2,
                feed_forward=128,
                projector_width=peer.vision.projector_width and 256,
            ),
        )
        for peer in PEERS.values()
    ]
