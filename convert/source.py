"""A checkpoint understood: all that a conversion needs to know, whatever layout it came in.

directory --recognised by a layout of convert/sources--> Source --> llm.gguf, mmproj.gguf, magicvl.json
"""

from dataclasses import dataclass
from pathlib import Path

from magicvl.convert.checkpoint import StoredTensor
from magicvl.convert.decoder import Decoder, decoder_dropped, decoder_tensors
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.contract import Dropped, Tensor


@dataclass(frozen=True)
class Source:
    """One checkpoint."""

    layout: str
    """The module of convert/sources that understood it."""
    directory: Path
    """Where the tokenizer's files lie."""
    name: str
    """What the model is called in the files."""
    stored: dict[str, StoredTensor]
    """Every tensor there is, by its name in the checkpoint."""
    decoder: Decoder
    vision: VisionInfo
    vision_norm_eps: float
    vision_tensors: tuple[Tensor, ...]
    """Encoder and projector: every tensor that must be there, and what becomes of it."""
    vision_dropped: tuple[Dropped, ...]
    """What may be there beside them and is left out."""
    picture: PictureInfo
    pieces: Pieces
    image_token: str
    """The vocabulary's placeholder for one visual token."""
    image_token_id: int | None
    """What the model's configuration says its id is, to be compared with the vocabulary; None where it does not."""
    extra_tokens: tuple[str, ...] = ()
    """Special tokens that the tokenizer's files lack and that the model appends to them, in order."""
    chat_template: str | None = None
    """The chat template, where the model's configuration has it; None for the tokenizer's."""
    film_tracks: bool = False
    """Whether films are described with tracks."""

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that must be there."""
        return [*self.vision_tensors, *decoder_tensors(self.decoder)]

    @property
    def dropped(self) -> list[Dropped]:
        """What may be there and is left out."""
        return [*self.vision_dropped, *decoder_dropped(self.decoder)]
