"""From messages to segments: what is said, in order, before anyone makes tokens of it.

The LLM's own chat template decides the frame; the user's words are put in only after it was rendered,
so no text of a user can become a special token. Both runtimes (llama.cpp and transformers) turn each
segment into tokens by itself, which makes their token ids equal.

    messages --render--> [Text, Picture, Text] --expand--> [Text, Text, Tile, Text, Tile, Text, Text]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from magicvl.edge.plan import Plan
from magicvl.errors import BundleError, UsageError


@dataclass(frozen=True)
class Text:
    """Words. Only where `special` is set may they spell special tokens."""

    text: str
    special: bool


@dataclass(frozen=True)
class Picture:
    """The place of a picture, by its index in the request."""

    index: int


@dataclass(frozen=True)
class Tile:
    """The place of one tile's visual tokens."""

    picture: int
    tile: int


@dataclass(frozen=True)
class Message:
    """One turn: who speaks, and words and pictures in order."""

    role: str
    parts: tuple[str | Picture, ...]


@dataclass(frozen=True)
class Pieces:
    """What stands around a picture's tiles in the prompt, each one token where the vocabulary allows."""

    before: str = "<|image_start|>"
    """Before the first tile."""
    between: str = "<|tile|>"
    """Between two tiles of a row."""
    row: str = "<|row|>"
    """Between two rows of tiles."""
    after: str = "<|image_end|>"
    """After the last tile."""


def ask_messages(prompt: str, pictures: int) -> list[Message]:
    """One user turn: the pictures in order, then the prompt."""
    return [Message("user", (*map(Picture, range(pictures)), prompt))]


def render(
    template: str, messages: Sequence[Message], *, bos: str = "", eos: str = "", answer: bool = True
) -> list[Text | Picture]:
    """Renders messages by a Jinja chat template; `answer` adds the start of the assistant's turn.

    Raises BundleError where the template is broken, UsageError where it refuses the messages.
    """
    parts: list[str | Picture] = []
    turns = []
    for message in messages:
        marks = []
        for part in message.parts:
            marks.append(_mark(len(parts)))
            parts.append(part)
        turns.append({"role": message.role, "content": "".join(marks)})
    frame = _render_frame(template, turns, bos, eos, answer)
    segments: list[Text | Picture] = []
    for i, piece in enumerate(_MARK.split(frame)):
        if i % 2 and int(piece) >= len(parts):
            raise BundleError("the chat template holds the private-use characters that stand for the user's words")
        found = parts[int(piece)] if i % 2 else Text(piece, special=True)
        segment = Text(found, special=False) if isinstance(found, str) else found
        if not (isinstance(segment, Text) and not segment.text):
            segments.append(segment)
    return segments


def expand(segments: Sequence[Text | Picture], plans: Sequence[Plan], pieces: Pieces) -> list[Text | Tile]:
    """Replaces each picture by its tiles and the pieces around them."""
    expanded: list[Text | Tile] = []
    for segment in segments:
        if isinstance(segment, Text):
            expanded.append(segment)
        else:
            expanded.extend(_expand_picture(segment.index, plans[segment.index], pieces))
    return expanded


def _expand_picture(index: int, plan: Plan, pieces: Pieces) -> list[Text | Tile]:
    placed: list[Text | Tile] = [Text(pieces.before, special=True)]
    for tile in range(len(plan.tile_boxes)):
        if tile:
            placed.append(Text(pieces.between if tile % plan.columns else pieces.row, special=True))
        placed.append(Tile(index, tile))
    placed.append(Text(pieces.after, special=True))
    return [part for part in placed if not (isinstance(part, Text) and not part.text)]


# A private-use character on each side: templates pass it through, and no vocabulary spells it by chance.
_MARK = re.compile("\ue000([0-9]+)\ue001")


def _mark(index: int) -> str:
    return f"\ue000{index}\ue001"


def _render_frame(template: str, turns: list[dict[str, str]], bos: str, eos: str, answer: bool) -> str:
    try:
        return _compile(template).render(messages=turns, bos_token=bos, eos_token=eos, add_generation_prompt=answer)
    except UsageError:
        raise
    except Exception as error:  # a template can add a number to a string, or recurse without end
        raise BundleError(f"the chat template cannot be rendered ({error}); convert the checkpoint again") from None


@cache
def _compile(template: str) -> Template:
    # The settings and the extension that transformers renders chat templates with.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _refuse(message: str) -> NoReturn:
    raise UsageError(f"the chat template refuses these messages: {message}")
