"""Bundles of a preset's shape: random weights, made in seconds, kept and used again."""

import os
from pathlib import Path

from gguf import GGMLQuantizationType as Type

from magicvl.bench.shape_gguf import SHAPE_TYPES, file_type, llm_type, out_tensor, write_shape
from magicvl.bench.shape_words import shape_vocabulary
from magicvl.convert.bundle import LLM_FILE, MMPROJ_FILE, replace_lock
from magicvl.convert.decoder import Decoder, decoder_tensors
from magicvl.convert.gguf_file import Field, OutTensor
from magicvl.convert.llm import llm_fields
from magicvl.convert.place import beside
from magicvl.convert.source import Source
from magicvl.convert.vision import tensor_type, vision_fields
from magicvl.convert.vocabulary import IMAGE_TOKEN, Vocabulary
from magicvl.edge.bundle import LOCK_NAME, FileEntry, Lock, PictureInfo, VisionInfo, lock_to_json, sha256
from magicvl.edge.files import user_folder
from magicvl.edge.prompt import Pieces
from magicvl.errors import UsageError
from magicvl.mmproj.contract import ARCHITECTURE, Layout, Tensor, mmproj_tensors
from magicvl.mmproj.presets import Preset

MMPROJ_SHAPE_TYPES = ("F16", "Q8_0")
"""The types of an encoder that can be made here."""
LLM_TYPE, MMPROJ_TYPE = "Q4_K_M", "F16"
"""What is common on phones: F16 is the encoder's fastest type on a CPU with AVX2."""
REVISION = 1
"""Part of a kept bundle's name: raised where what is made changes."""


def shapes_folder() -> Path:
    """Where shapes are kept: `magicvl/shapes` in XDG_CACHE_HOME or ~/.cache."""
    return user_folder("XDG_CACHE_HOME", ".cache") / "shapes"


def shape_bundle(preset: Preset, folder: Path, *, llm: str = LLM_TYPE, mmproj: str = MMPROJ_TYPE) -> Path:
    """The bundle of a preset's shape in `folder`, made where it is not there yet. Raises UsageError."""
    check_types(llm, mmproj)
    target = folder / f"{preset.name}-{llm}-{mmproj}-r{REVISION}"
    if (target / LOCK_NAME).is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    source = magicvl_source(preset)
    with beside(target) as partial:
        write_llm_shape(source, shape_vocabulary(source.decoder.vocabulary), partial / LLM_FILE, llm)
        write_mmproj_shape(source, partial / MMPROJ_FILE, mmproj)
        paths = {"llm": partial / LLM_FILE, "mmproj": partial / MMPROJ_FILE}
        lock = Lock(
            name=f"{preset.name} (shape only)",
            files={role: FileEntry(path.name, path.stat().st_size, sha256(path)) for role, path in paths.items()},
            vision=source.vision,
            language=source.decoder.info,
            picture=source.picture,
            pieces=source.pieces,
            provenance={"made_by": "magicvl bench: random weights of a shape", "image_token": source.image_token},
        )
        replace_lock(lock_to_json(lock), partial)
    return target


def check_types(llm: str, mmproj: str) -> None:
    """Raises UsageError for a type that no shape is made in."""
    for option, value, known in (
        ("--llm-type", llm, SHAPE_TYPES),
        ("--mmproj-type", mmproj, MMPROJ_SHAPE_TYPES),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: a shape is made in {', '.join(known)}")


def magicvl_source(preset: Preset) -> Source:
    """A preset as a converter would find it in a checkpoint, without any tensor stored."""
    seen, spoken = preset.vision, preset.language
    vision = VisionInfo(
        width=seen.width,
        layers=seen.layers,
        heads=seen.heads,
        feed_forward=seen.feed_forward,
        patch=seen.patch,
        unshuffle=2,
        positions=seen.positions,
        projector_width=preset.projector_width,
    )
    decoder = Decoder(
        architecture=spoken.model_type,
        width=spoken.width,
        layers=spoken.layers,
        heads=spoken.heads,
        kv_heads=spoken.kv_heads,
        head_dim=spoken.head_dim,
        feed_forward=spoken.feed_forward,
        vocabulary=spoken.vocabulary,
        context=spoken.context,
        rope_theta=spoken.rope_theta,
        norm_eps=spoken.norm_eps,
        tied=spoken.tied,
        attention_bias=False,
        mlp_bias=False,
    )
    half = (0.5, 0.5, 0.5)
    picture = PictureInfo(tile=seen.patch * seen.positions, max_tiles=24, mean=half, std=half)
    return shape_source(preset.name, decoder, vision, picture)


def shape_source(name: str, decoder: Decoder, vision: VisionInfo, picture: PictureInfo) -> Source:
    """A Source of a shape, for what writes metadata."""
    return Source(
        layout="shape",
        # It has none of the files that could be read from it.
        directory=Path(os.devnull),
        name=name,
        stored={},
        decoder=decoder,
        vision=vision,
        vision_norm_eps=1e-6,
        vision_tensors=(),
        vision_dropped=(),
        picture=picture,
        pieces=Pieces(),
        image_token=IMAGE_TOKEN,
        image_token_id=None,
    )


def llm_shape(source: Source, vocabulary: Vocabulary, wanted: str) -> tuple[list[Field], list[OutTensor]]:
    """Metadata and tensors of a decoder's file."""
    decoder = source.decoder
    shapes = [(tensor.target, tensor.shape) for tensor in decoder_tensors(decoder)]
    tensors = [
        out_tensor(name, shape, llm_type(name, shape, decoder.layers, wanted, tied=decoder.tied))
        for name, shape in shapes
    ]
    return llm_fields(source, vocabulary, file_type(wanted)), tensors


def write_llm_shape(source: Source, vocabulary: Vocabulary, path: Path, wanted: str) -> None:
    """Writes `llm.gguf` of a shape."""
    write_shape(path, source.decoder.architecture, *llm_shape(source, vocabulary, wanted))


def write_mmproj_shape(source: Source, path: Path, wanted: str) -> None:
    """Writes `mmproj.gguf` of a shape, of a graph that magicvl.mmproj.contract knows."""
    vision = source.vision
    tensors = [
        out_tensor(tensor.target, _shape(tensor, vision.patch), tensor_type(tensor, Type[wanted], vision.projector))
        for tensor in mmproj_tensors(vision, source.decoder.width)
    ]
    write_shape(path, ARCHITECTURE, vision_fields(source, wanted), tensors)


def _shape(tensor: Tensor, patch: int) -> tuple[int, ...]:
    return (tensor.shape[0], 3, patch, patch) if tensor.layout is Layout.PATCHES else tensor.shape
