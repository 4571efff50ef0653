"""From what a user passes to what the decoder is fed: pictures are opened and cut, words made into ids."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from magicvl.edge.bundle import Lock
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.llama import Model
from magicvl.edge.pixels import PictureSource, Pixels, cut, open_picture
from magicvl.edge.plan import Plan, plan
from magicvl.edge.prompt import Message, Text, ask_messages, expand, render
from magicvl.errors import BundleError


@dataclass(frozen=True)
class Request:
    """A prompt as the decoder is fed: runs of token ids and tiles, in order."""

    plans: tuple[Plan, ...]
    parts: tuple[list[int] | Pixels, ...]
    """Token ids, or a tile as uint8 RGB (height, width, 3)."""
    text_tokens: int

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


def open_and_cut(source: PictureSource, lock: Lock, budget: int | None) -> tuple[Plan, list[Pixels]]:
    """The plan and the tiles of one picture; the full picture is let go."""
    picture = open_picture(source)
    planned = plan(*picture.size, lock.grid, budget)
    return planned, cut(picture, planned)


def prepare(
    pictures: Sequence[PictureSource],
    prompt: str,
    lock: Lock,
    model: Model,
    template: ChatTemplate,
    *,
    budget: int | None = None,
    system: str | None = None,
) -> Request:
    """Builds the request. Raises PictureError, UsageError, BundleError."""
    opened = [open_and_cut(source, lock, budget) for source in pictures]
    plans = [planned for planned, _ in opened]
    messages = ask_messages(prompt, len(plans))
    if system is not None:
        messages.insert(0, Message("system", (system,)))
    segments = render(
        template.template, messages, bos=template.bos, eos=template.eos, placeholder=lock.pieces.placeholder
    )
    parts: list[list[int] | Pixels] = []
    text_tokens = 0
    for segment in expand(segments, plans, lock.pieces):
        if isinstance(segment, Text):
            ids = model.tokenise(segment.text, special=segment.special)
            text_tokens += len(ids)
            # Neighbouring runs of text are decoded together.
            if parts and isinstance(parts[-1], list):
                parts[-1].extend(ids)
            else:
                parts.append(ids)
        else:
            parts.append(opened[segment.picture][1][segment.tile])
    return Request(tuple(plans), tuple(part for part in parts if len(part)), text_tokens)
