"""Shapes with random weights: made at once, and the same as a conversion would have made but for the numbers."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from magicvl.bench.peer_shapes import PEERS, Peer, peer_files
from magicvl.bench.shape_bundle import llm_shape, magicvl_source, shape_bundle, write_llm_shape
from magicvl.bench.shape_gguf import SHAPE_TYPES
from magicvl.bench.shape_words import shape_vocabulary
from magicvl.convert.progress import Quiet
from magicvl.convert.quantise import quantise_llm
from magicvl.edge.answer import Options, drain
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Model
from magicvl.edge.noise import noise
from magicvl.errors import UsageError
from magicvl.mmproj.presets import LanguageShape, Preset, VisionShape

PUBLISHED = {"internvl2.5-2b": 2205754368, "smolvlm2-2.2b": 2246784880, "qwen2-vl-2b": 2208985600}
"""Parameters that the authors' model pages count."""
# 576 and 192 are no multiples of 256: K types do not fit. 24 layers: every rule about layers has its case.
ODD = Preset(
    "odd",
    VisionShape(width=64, layers=1, heads=2, feed_forward=128),
    projector_width=128,
    language=LanguageShape("llama", 576, 24, 9, 3, 64, 192, 1000, 8192, 1e6, 1e-6),
)


def test_the_bundle_answers(small_bundle: Path) -> None:
    with Engine(small_bundle, threads=1) as engine:
        answer = drain(engine.start(noise((400, 300), 1), "What is at the top?", Options(max_tokens=3)))
    assert answer.usage.image_tokens == 13 * 9
    assert answer.usage.completion_tokens == 3


def test_it_is_made_once(small_preset: Preset, small_bundle: Path) -> None:
    before = (small_bundle / "llm.gguf").stat().st_mtime_ns
    assert shape_bundle(small_preset, small_bundle.parent) == small_bundle
    assert (small_bundle / "llm.gguf").stat().st_mtime_ns == before
    read_bundle(small_bundle).verify()


def test_other_types_are_other_bundles(small_preset: Preset, small_bundle: Path, tmp_path: Path) -> None:
    other = shape_bundle(small_preset, tmp_path, llm="Q8_0", mmproj="Q8_0")
    assert other.name != small_bundle.name
    types = {tensor.type for tensor in read_gguf(other / "llm.gguf").tensors.values()}
    assert types == {"F32", "Q8_0"}
    with Engine(other, threads=1) as engine:
        assert np.isfinite(engine.logits(noise((64, 64), 1), "What?")).all()
    with pytest.raises(UsageError, match="--llm-type Q6_K: a shape is made in Q4_K_M, Q8_0, F16"):
        shape_bundle(small_preset, tmp_path, llm="Q6_K")


@pytest.mark.parametrize("wanted", ["Q4_K_M", "Q8_0"])
@pytest.mark.parametrize("odd", [True, False])
def test_the_types_are_those_of_the_runtimes_quantiser(
    wanted: str, odd: bool, small_preset: Preset, tmp_path: Path
) -> None:
    preset = ODD if odd else small_preset
    source = magicvl_source(preset)
    write_llm_shape(source, shape_vocabulary(preset.language.vocabulary), tmp_path / "wide.gguf", "F16")
    quantise_llm(tmp_path / "wide.gguf", tmp_path / "narrow.gguf", wanted, Quiet())
    theirs = {name: tensor.type for name, tensor in read_gguf(tmp_path / "narrow.gguf").tensors.items()}
    _, tensors = llm_shape(source, shape_vocabulary(preset.language.vocabulary), wanted)
    assert {tensor.name: tensor.type.name for tensor in tensors} == theirs


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_a_peer_has_as_many_parameters_as_its_authors_count(peer: Peer) -> None:
    shapes = [shape for shapes in (peer.llm_shapes(), peer.vision_shapes()) for _, shape in shapes]
    assert sum(map(math.prod, shapes)) == PUBLISHED[peer.name]


def test_a_questions_words_are_tokens(small_bundle: Path) -> None:
    with Model(small_bundle / "llm.gguf") as model:
        ids = model.tokenise("What is the largest number in the picture?", special=False)
        pieces = [model.piece(token).decode() for token in ids]
    assert pieces == ["What", " is", " the", " largest", " number", " in", " the", " picture", "?"]


def test_a_vocabulary_has_its_size() -> None:
    vocabulary = shape_vocabulary(1000, ("<img>",))
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == len(vocabulary.types) == 1000
    with pytest.raises(ValueError, match="a vocabulary of 300 tokens"):
        shape_vocabulary(300)


def test_files_are_the_same_every_time(small_peers: Sequence[Peer], tmp_path: Path) -> None:
    def contents(folder: str) -> Iterator[bytes]:
        for path in peer_files(small_peers[0], tmp_path / folder):
            yield path.read_bytes()

    assert list(contents("one")) == list(contents("two"))


def test_every_type_has_finite_numbers_of_a_trained_layers_size(small_preset: Preset, tmp_path: Path) -> None:
    import gguf

    seen = set()
    for wanted in SHAPE_TYPES:
        path = tmp_path / f"{wanted}.gguf"
        for preset in (ODD, small_preset):
            write_llm_shape(magicvl_source(preset), shape_vocabulary(1000), path, wanted)
            for tensor in gguf.GGUFReader(path).tensors:
                if len(tensor.shape) > 1 and tensor.tensor_type not in seen:
                    numbers = gguf.dequantize(tensor.data, tensor.tensor_type)
                    assert np.isfinite(numbers).all()
                    assert 0.5 < numbers.std() * math.sqrt(numbers.shape[1]) < 2, tensor.tensor_type.name
                    seen.add(tensor.tensor_type)
    assert {kind.name for kind in seen} == {"Q4_K", "Q5_0", "Q6_K", "Q8_0", "F16"}
