"""What parity compares: the two sides, and what each of them has to show of a picture and a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from magicvl.convert.source import Source
from magicvl.errors import CheckpointError

Floats = npt.NDArray[np.float32]

POSITIONS = "patches and positions"
"""The stage before the first block."""


def block(number: int) -> str:
    """The name of an encoder block's stage, counted from 0."""
    return f"encoder block {number}"


@dataclass(frozen=True)
class Tile:
    """What the encoder made of one tile."""

    size: tuple[int, int]
    """Width and height in px."""
    pixels: Floats
    """As the encoder gets them, normalised: (height, width, 3)."""
    blocks: Mapping[str, Floats]
    """Stage and what it gave, (patches, width); empty where a side cannot show it."""
    embeddings: Floats
    """(tokens, width of the decoder)."""


@dataclass(frozen=True)
class Seen:
    """One picture and one prompt, all the way through."""

    ids: Sequence[int]
    """The prompt; each visual token is -1."""
    tiles: Sequence[Tile]
    logits: Floats
    """Of the first token of the answer, (vocabulary,)."""
    answer: Sequence[int]
    """Greedy token ids, the one that ends it included where it was reached."""
    leads: Sequence[float] = field(default_factory=tuple)
    """How far each token of the answer was ahead of the next best, in standard deviations of the logits."""


class Reference(Protocol):
    """The checkpoint in the library that it was made with."""

    def vocabulary(self) -> Mapping[int, str]:
        """Text of every token, as the tokenizer's files spell it."""

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids; only with `special` may a text spell special tokens."""

    def see(self, picture: Image.Image, prompt: str, tokens: int) -> Seen:
        """The picture and the prompt as one user turn, answered with at most so many tokens."""


def open_reference(source: Source, directory: Path) -> Reference:
    """The reference of a checkpoint. Raises CheckpointError for a layout that has none."""
    if source.layout == "nanovlm":
        from magicvl.convert.reference_nanovlm import NanoVLMReference

        return NanoVLMReference(directory, source.directory)
    if source.directory.resolve() != directory.resolve():
        raise CheckpointError(
            f"{directory}: checkpoints of layout {source.layout!r} are compared with the tokenizer in their own "
            f"directory; put it there, and leave --tokenizer out"
        )
    if source.layout == "magicvl":
        from magicvl.convert.reference_magicvl import MagicVLReference

        return MagicVLReference(directory)
    if source.layout in ("idefics3", "smolvlm", "llava"):
        from magicvl.convert.reference_transformers import TransformersReference

        return TransformersReference(directory)
    if source.layout == "lfm2_vl":
        from magicvl.convert.reference_lfm2_vl import Lfm2VlReference

        return Lfm2VlReference(directory)
    raise CheckpointError(f"{directory}: parity has no reference for checkpoints of layout {source.layout!r} yet")
