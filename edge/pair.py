"""Do the two GGUF files belong to the lock and to each other? Asked before native code loads either."""

from collections.abc import Iterator
from math import isclose

from magicvl.edge.bundle import Lock
from magicvl.edge.gguf_check import GgufFile, Value
from magicvl.errors import BundleError
from magicvl.mmproj.contract import (
    ARCHITECTURE,
    PROJECTORS,
    Layout,
    Tensor,
    VisionNames,
    mmproj_keys,
    mmproj_tensors,
    mmproj_values,
)

MAX_TILE = 4096
"""Longest side of a tile in px: its attention would already take gigabytes."""
MAX_LONGEST = 8192
"""Longest side in px that a policy may resize a picture to: 200 MB as RGB."""


def check_pair(lock: Lock, llm: GgufFile, mmproj: GgufFile) -> None:
    """Compares shapes and keys of both halves with the lock. Raises BundleError that names what differs."""
    if lock.picture.tile > MAX_TILE:
        raise BundleError(f"tiles of {lock.picture.tile:,} px, at most {MAX_TILE:,} px are encoded")
    if (lock.picture.longest or 0) > MAX_LONGEST:
        raise BundleError(f"pictures resized to {lock.picture.longest:,} px, at most {MAX_LONGEST:,} px are made")
    if lock.grid.lfm2 is not None and lock.grid.most_split * lock.picture.tile**2 > MAX_LONGEST**2:
        raise BundleError(
            f"pictures resized to {lock.grid.most_split} tiles of {lock.picture.tile:,} px, at most {MAX_LONGEST:,} px "
            f"square are made"
        )
    if lock.grid.tile_tokens * lock.grid.unit**2 > MAX_TILE**2:
        raise BundleError(f"tiles of {lock.grid.tile_tokens:,} tokens, at most {MAX_TILE:,} px square are encoded")
    if lock.picture.policy == "native" and lock.picture.resample != "bilinear":
        raise BundleError(f"pictures are resized by {lock.picture.resample!r}, MagicVL's own by 'bilinear' alone")
    _check_graph(lock)
    for file, found in ((mmproj, _mmproj_differences(lock, mmproj)), (llm, _llm_differences(lock, llm))):
        if differences := list(found):
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise BundleError(
                f"{file.path}: not the file that the lock describes: {'; '.join(differences[:3])}{more}; "
                f"convert the checkpoint again"
            )


def check_lora(llm: GgufFile, lora: GgufFile) -> None:
    """Compares an adapter with the decoder that it changes. Raises BundleError that names what differs."""
    if differences := list(_lora_differences(llm, lora)):
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise BundleError(
            f"{lora.path}: no adapter of {llm.path.name}: {'; '.join(differences[:3])}{more}; convert it again"
        )


def _lora_differences(llm: GgufFile, lora: GgufFile) -> Iterator[str]:
    architecture = llm.metadata.get("general.architecture", "")
    for key, expected in (
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", architecture),
    ):
        if (found := lora.metadata.get(key)) != expected:
            yield f"{key} is {found!r}, {expected!r} is due"
    if not isinstance(lora.metadata.get("adapter.lora.alpha"), float):
        yield f"adapter.lora.alpha is {lora.metadata.get('adapter.lora.alpha')!r}, a number is due"
    for name in dict.fromkeys(name.rpartition(".lora_")[0] for name in lora.tensors):
        base, down, up = llm.tensors.get(name), lora.tensors.get(f"{name}.lora_a"), lora.tensors.get(f"{name}.lora_b")
        if base is None or down is None or up is None:
            yield f"tensor {name!r} lacks {'its base' if base is None else 'lora_a or lora_b'}"
        elif not len(base.shape) == len(down.shape) == len(up.shape) == 2 or (down.shape, up.shape) != (
            (base.shape[0], down.shape[1]),
            (down.shape[1], base.shape[1]),
        ):
            shapes = " and ".join(_product(tensor.shape) for tensor in (down, up))
            yield f"tensor {name} is {_product(base.shape)}, its factors are {shapes}"


def _check_graph(lock: Lock) -> None:
    """The graph must be known, and able to encode the tiles that the lock cuts."""
    vision, picture = lock.vision, lock.picture
    if vision.projector not in PROJECTORS:
        raise BundleError(f"projector {vision.projector!r}: there are {', '.join(PROJECTORS)}")
    if (vision.projector_width is None) != (vision.projector == "idefics3"):
        raise BundleError(f"a projector {vision.projector!r} with a hidden width of {vision.projector_width}")
    if PROJECTORS[vision.projector].resized_positions:
        return
    if picture.policy == "native" or picture.tile // vision.patch != vision.positions:
        raise BundleError(
            f"tiles of {picture.tile} px cut by {picture.policy!r}: the positions of the projector "
            f"{vision.projector!r} are for full tiles of {vision.positions} patches of {vision.patch} px"
        )


def _mmproj_differences(lock: Lock, file: GgufFile) -> Iterator[str]:
    yield from _differ("general.architecture", file.metadata.get("general.architecture"), ARCHITECTURE)
    width = lock.language.width
    # The lock does not hold the epsilon: one file's own business, and no shape.
    expected = mmproj_values(lock.vision, lock.picture, text_width=width, norm_eps=0.0)
    for rule in mmproj_keys(lock.vision):
        if rule.value in expected and rule.value != "norm_eps":
            yield from _differ(rule.key, file.metadata.get(rule.key), expected[rule.value])
    norm = "mm.input_norm.weight" in file.tensors
    names = VisionNames(fused_attention="v.blk.0.attn_qkv.weight" in file.tensors)
    for tensor in mmproj_tensors(lock.vision, width, projector_norm=norm, names=names):
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
            isinstance(a, type(b)) and isclose(a, b, rel_tol=1e-6) for a, b in zip(found, expected, strict=True)
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
