"""From what a user passes to what the decoder is fed: pictures are opened and cut, words made into ids."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from magicvl.edge.bundle import Lock
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.pixels import PictureSource, Pixels, cut, open_picture
from magicvl.edge.plan import Plan, plan
from magicvl.edge.prompt import Message, Spoken, Tile, expand, render
from magicvl.edge.runtime import Tokeniser
from magicvl.errors import BundleError


@dataclass(frozen=True)
class Request:
    """A prompt as the decoder is fed: runs of token ids and tiles, in order."""

    plans: tuple[Plan, ...]
    parts: tuple[list[int] | Pixels, ...]
    """Token ids, or a tile as uint8 RGB (height, width, 3)."""
    text_tokens: int
    texts: tuple[str, ...] = ()
    """What each run of token ids says, its special tokens spelled out."""
    captions: bool = False
    """Whether the bundle's caption adapter answers, where it has one."""

    @property
    def image_tokens(self) -> int:
        """Visual tokens of all pictures."""
        return sum(each.tokens for each in self.plans)

    @property
    def tokens(self) -> int:
        """Tokens of the whole prompt."""
        return self.text_tokens + self.image_tokens

    @property
    def tiles(self) -> int:
        """Tiles of all pictures."""
        return sum(len(each.tile_boxes) for each in self.plans)


@dataclass(frozen=True)
class ChatTemplate:
    """The frame that the decoder was trained with."""

    template: str
    bos: str
    eos: str


def chat_template(llm: GgufFile) -> ChatTemplate:
    """The template and the texts of its special tokens. Raises BundleError where the file lacks them."""
    tokens = llm.texts("tokenizer.ggml.tokens")

    def text(key: str) -> str:
        if key not in llm.metadata:
            return ""
        token = llm.integer(key)
        if not 0 <= token < len(tokens):
            raise BundleError(f"{llm.path}: {key} is {token:,}, the vocabulary has {len(tokens):,} tokens")
        return tokens[token]

    return ChatTemplate(
        llm.text("tokenizer.chat_template"),
        text("tokenizer.ggml.bos_token_id"),
        text("tokenizer.ggml.eos_token_id"),
    )


def as_pictures(pictures: PictureSource | Sequence[PictureSource]) -> list[PictureSource]:
    """One picture or several, as a list."""
    if isinstance(pictures, str | bytes | os.PathLike | Image.Image):
        return [pictures]
    return list(pictures)


class CutPicture(NamedTuple):
    """A picture as the tiles that the encoder looks at."""

    plan: Plan
    tiles: tuple[Pixels, ...]


def open_and_cut(source: PictureSource, lock: Lock, budget: int | None, *, name: str | None = None) -> CutPicture:
    """Opens a picture and cuts it; the full picture is let go. Raises PictureError, which calls it `name`."""
    picture = open_picture(source, name)
    planned = plan(*picture.size, lock.grid, budget)
    return CutPicture(planned, tuple(cut(picture, planned)))


def prepare(
    messages: Sequence[Message],
    pictures: Sequence[CutPicture],
    lock: Lock,
    tokeniser: Tokeniser,
    template: ChatTemplate,
) -> Request:
    """Builds the request from messages that name `pictures` by number. Raises UsageError, BundleError."""
    plans = [picture.plan for picture in pictures]
    segments = render(
        template.template, messages, bos=template.bos, eos=template.eos, placeholder=lock.pieces.placeholder
    )
    parts: list[list[int] | Pixels] = []
    texts: list[str] = []
    for segment in expand(segments, plans, lock.pieces):
        if isinstance(segment, Tile):
            parts.append(pictures[segment.picture].tiles[segment.tile])
            continue
        if not isinstance(segment, Spoken):
            ids = tokeniser.tokenise(segment.text, special=segment.special)
        elif tokeniser.exact:
            ids = list(segment.tokens)
        else:
            ids = tokeniser.tokenise(segment.text, special=False)
        if not ids:
            continue
        # Neighbouring runs of text are decoded together.
        if parts and isinstance(parts[-1], list):
            parts[-1].extend(ids)
            texts[-1] += segment.text
        else:
            parts.append(ids)
            texts.append(segment.text)
    text_tokens = sum(len(part) for part in parts if isinstance(part, list))
    return Request(tuple(plans), tuple(parts), text_tokens, tuple(texts))
