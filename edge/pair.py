"""Do the two GGUF files belong to the lock and to each other? Asked before native code loads either."""

from collections.abc import Iterator
from math import isclose

from magicvl.edge.bundle import Lock
from magicvl.edge.gguf_check import GgufFile, Value
from magicvl.errors import BundleError
from magicvl.mmproj.contract import ARCHITECTURE, MMPROJ_KEYS, Layout, Tensor, mmproj_tensors, mmproj_values

MAX_TILE = 4096
"""Longest side of a tile in px: its attention would already take gigabytes."""


def check_pair(lock: Lock, llm: GgufFile, mmproj: GgufFile) -> None:
    """Compares shapes and keys of both halves with the lock. Raises BundleError that names what differs."""
    if lock.picture.tile > MAX_TILE:
        raise BundleError(f"tiles of {lock.picture.tile:,} px, at most {MAX_TILE:,} px are encoded")
    if lock.picture.resample != "bilinear":
        raise BundleError(f"pictures are resized by {lock.picture.resample!r}, only 'bilinear' is there")
    for file, found in ((mmproj, _mmproj_differences(lock, mmproj)), (llm, _llm_differences(lock, llm))):
        if differences := list(found):
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise BundleError(
                f"{file.path}: not the file that the lock describes: {'; '.join(differences[:3])}{more}; "
                f"convert the checkpoint again"
            )


def _mmproj_differences(lock: Lock, file: GgufFile) -> Iterator[str]:
    yield from _differ("general.architecture", file.metadata.get("general.architecture"), ARCHITECTURE)
    width = lock.language.width
    # The lock does not hold the epsilon: one file's own business, and no shape.
    expected = mmproj_values(lock.vision, lock.picture, text_width=width, norm_eps=0.0)
    for rule in MMPROJ_KEYS:
        if rule.value in expected and rule.value != "norm_eps":
            yield from _differ(rule.key, file.metadata.get(rule.key), expected[rule.value])
    norm = "mm.input_norm.weight" in file.tensors
    for tensor in mmproj_tensors(lock.vision, width, projector_norm=norm):
        yield from _tensor_differs(file, tensor.target, _ggml_shape(tensor, lock.vision.patch))


def _llm_differences(lock: Lock, file: GgufFile) -> Iterator[str]:
    language = lock.language
    name = language.architecture
    if differences := [*_differ("general.architecture", file.metadata.get("general.architecture"), name)]:
        # Every other key is named after it.
        yield from differences
        return
    for key, expected in (
        (f"{name}.embedding_length", language.width),
        (f"{name}.block_count", language.layers),
        (f"{name}.context_length", language.context),
    ):
        yield from _differ(key, file.metadata.get(key), expected)
    yield from _differ("the vocabulary", len(file.texts("tokenizer.ggml.tokens")), language.vocabulary)
    yield from _tensor_differs(file, "token_embd.weight", (language.width, language.vocabulary))


def _ggml_shape(tensor: Tensor, patch: int) -> tuple[int, ...]:
    if tensor.layout is Layout.PATCHES:
        return (patch, patch, 3, tensor.shape[0])
    return tensor.shape[::-1]


def _tensor_differs(file: GgufFile, name: str, shape: tuple[int, ...]) -> Iterator[str]:
    found = file.tensors.get(name)
    if found is None:
        yield f"tensor {name} is missing"
    # GGUF may leave trailing ones out.
    elif _trimmed(found.shape) != _trimmed(shape):
        yield f"tensor {name} is {_product(found.shape)}, the lock's shapes make it {_product(shape)}"


def _differ(key: str, found: Value | None, expected: object) -> Iterator[str]:
    if isinstance(expected, list) and isinstance(found, tuple):
        # float32 in the file, float64 in the lock.
        same = len(found) == len(expected) and all(
            isinstance(a, float) and isclose(a, b, rel_tol=1e-6) for a, b in zip(found, expected, strict=True)
        )
    else:
        same = type(found) is type(expected) and found == expected
    if not same:
        yield f"{key} is {found}, the lock says {expected}"


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _product(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
