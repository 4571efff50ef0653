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
class Spoken:
    """What the model said, as the very tokens that it said it in: other tokens can spell the same text."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Message:
    """One turn: who speaks, and words and pictures in order."""

    role: str
    parts: tuple[str | Picture | Spoken, ...]


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
    tile: str = ""
    """Before each tile of several; `{row}` and `{column}` count from 1."""
    overview: str = ""
    """Before the overview."""
    single: str = ""
    """Before the only tile of a picture that has one."""
    several: str = ""
    """Before the first of several tiles: `{across}` and `{down}` are the sides of the whole picture in visual tokens. A
    decoder that reads from left to right learns so, before it sees any tile, where in the picture each will lie."""
    each: str = ""
    """Before each of several pictures; `{picture}` counts from 0."""
    placeholder: str = ""
    """What the chat template writes for a picture where it takes a message in parts; empty where it takes a text."""


def ask_messages(prompt: str, pictures: int) -> list[Message]:
    """One user turn: the pictures in order, then the prompt."""
    return [Message("user", (*map(Picture, range(pictures)), prompt))]


def render(
    template: str,
    messages: Sequence[Message],
    *,
    bos: str = "",
    eos: str = "",
    answer: bool = True,
    placeholder: str = "",
) -> list[Text | Picture | Spoken]:
    """Renders messages by a Jinja chat template; `answer` adds the start of the assistant's turn.

    With a `placeholder` the template gets each message in parts, as transformers' processors give it, and writes
    that text for each picture; without one a message is a text. Raises BundleError where the template is broken or
    writes another number of pictures, UsageError where it refuses the messages.
    """
    parts: list[str | Picture | Spoken] = []
    turns: list[dict[str, object]] = []
    for message in messages:
        first = len(parts)
        parts.extend(message.parts)
        numbered = list(enumerate(message.parts, first))
        content = [_part(i, part) for i, part in numbered] if placeholder else "".join(_mark(i) for i, _ in numbered)
        turns.append({"role": message.role, "content": content})
    frame = _render_frame(template, turns, bos, eos, answer)
    if placeholder:
        frame = _mark_pictures(frame, placeholder, [i for i, part in enumerate(parts) if isinstance(part, Picture)])
    return _segments(_MARK.split(frame), parts)


def wants_parts(template: str, placeholder: str) -> bool:
    """Whether a template takes a message in parts and writes `placeholder` for a picture, where a test shows it."""
    try:
        made = render(template, ask_messages("?", 1), placeholder=placeholder)
    except (BundleError, UsageError):
        return False
    return [type(part) for part in made if not (isinstance(part, Text) and part.special)] == [Picture, Text]


def expand(
    segments: Sequence[Text | Picture | Spoken], plans: Sequence[Plan], pieces: Pieces
) -> list[Text | Tile | Spoken]:
    """Replaces each picture by its tiles and the pieces around them."""
    several = sum(isinstance(segment, Picture) for segment in segments) > 1
    expanded: list[Text | Tile | Spoken] = []
    for segment in segments:
        if not isinstance(segment, Picture):
            expanded.append(segment)
        else:
            each = _fill(pieces.each, picture=segment.index) if several else ""
            placed = [Text(each, special=True), *_expand_picture(segment.index, plans[segment.index], pieces)]
            expanded.extend(part for part in placed if not (isinstance(part, Text) and not part.text))
    return expanded


def _expand_picture(index: int, plan: Plan, pieces: Pieces) -> list[Text | Tile]:
    placed: list[Text | Tile] = [Text(pieces.before, special=True)]
    for tile in range(len(plan.tile_boxes)):
        placed += [Text(_before_tile(tile, plan, pieces), special=True), Tile(index, tile)]
    placed.append(Text(pieces.after, special=True))
    return placed


def _before_tile(tile: int, plan: Plan, pieces: Pieces) -> str:
    if len(plan.tile_boxes) == 1:
        return pieces.single
    before = _fill(pieces.several, across=plan.sides[0], down=plan.sides[1]) if tile == 0 and pieces.several else ""
    if tile == plan.overview:
        return before + pieces.overview
    number = tile - (plan.overview == 0)
    row, column = divmod(number, plan.columns)
    own = _fill(pieces.tile, row=row + 1, column=column + 1)
    return before + ("" if number == 0 else pieces.between if column else pieces.row) + own


def _fill(text: str, **numbers: int) -> str:
    """Not str.format: a lock comes from others, and format reaches into the objects that it is given."""
    for name, number in numbers.items():
        text = text.replace(f"{{{name}}}", str(number))
    return text


# A private-use character on each side: templates pass it through, and no vocabulary spells it by chance.
_MARK = re.compile("\ue000([0-9]+)\ue001")


def _mark(index: int) -> str:
    return f"\ue000{index}\ue001"


def _segments(pieces: Sequence[str], parts: Sequence[str | Picture | Spoken]) -> list[Text | Picture | Spoken]:
    """The frame and what belongs between: `pieces` are, in turn, a text of the frame and the number of a part."""
    if any(int(number) >= len(parts) for number in pieces[1::2]):
        raise BundleError("the chat template holds the private-use characters that stand for the user's words")
    segments: list[Text | Picture | Spoken] = [Text(pieces[0], special=True)]
    for number, frame in zip(pieces[1::2], pieces[2::2], strict=True):
        part, before = parts[int(number)], segments[-1]
        after_space = isinstance(before, Text) and before.text.endswith(" ")
        if isinstance(part, Spoken) and after_space and part.text.startswith(" "):
            # The frame asked for the answer without the space that it writes before one: the model said it itself.
            assert isinstance(before, Text)
            segments[-1] = Text(before.text[:-1], special=True)
        if isinstance(part, str):
            if isinstance(before, Text) and after_space and part:
                # A word's token holds the space before it: "User: " and "what" must not part there.
                segments[-1], part = Text(before.text[:-1], special=True), " " + part
            segments.append(Text(part, special=False))
        else:
            segments.append(part)
        segments.append(Text(frame, special=True))
    return [segment for segment in segments if not (isinstance(segment, Text) and not segment.text)]


def _part(index: int, part: str | Picture | Spoken) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, Picture) else {"type": "text", "text": _mark(index)}


def _mark_pictures(frame: str, placeholder: str, pictures: Sequence[int]) -> str:
    """Puts the marks of the pictures in the places that the template gave them; the user's words are not in yet."""
    pieces = frame.split(placeholder)
    if len(pieces) != len(pictures) + 1:
        raise BundleError(
            f"the chat template writes {placeholder!r} {len(pieces) - 1} times for {len(pictures)} pictures; "
            f"convert the checkpoint again"
        )
    return pieces[0] + "".join(_mark(i) + piece for i, piece in zip(pictures, pieces[1:], strict=True))


def _render_frame(template: str, turns: list[dict[str, object]], bos: str, eos: str, answer: bool) -> str:
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
