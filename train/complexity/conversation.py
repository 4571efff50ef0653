"""A sample's turns as token ids, with the places of the answers: what a loss is taken over.

The ids are those of a chat as it will be held: the LLM's own template, each segment a text of its own (see
`magicvl.edge.prompt`). An answer's tokens are its words alone, without the token that ends a turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from magicvl.edge.plan import Plan
from magicvl.edge.prompt import Message, Picture, Pieces, Spoken, Text, Tile, expand, render
from magicvl.train.samples.sample import Turn


@dataclass(frozen=True)
class Speech:
    """How a model's words become token ids."""

    spell: Callable[[Text], list[int]]
    """The ids of a text, without any of its own around it."""
    template: str | None = None
    """Jinja chat template; without one a prompt and its answer are lines."""
    bos: str = ""
    eos: str = ""
    pieces: Pieces | None = None
    """What stands around tiles; None for a model that sees no pictures."""
    image_token: int | None = None
    """The placeholder of one visual token."""


@dataclass(frozen=True)
class Encoded:
    """A conversation."""

    ids: tuple[int, ...]
    answers: tuple[tuple[int, int], ...]
    """Begin and end of each answer's ids."""


def encode(turns: Sequence[Turn], speech: Speech, plans: Sequence[Plan] = ()) -> Encoded:
    """The conversation, its pictures (one plan each) before the first words.

    Raises BundleError for a broken chat template, UsageError where it refuses the turns.
    """
    segments = _lines(turns, speech) if speech.template is None else _chat(turns, speech, speech.template, len(plans))
    ids: list[int] = []
    answers: list[tuple[int, int]] = []
    for part in expand(segments, plans, speech.pieces or Pieces()):
        begin = len(ids)
        if isinstance(part, Spoken):
            ids += part.tokens
            answers.append((begin, len(ids)))
        elif isinstance(part, Tile):
            assert speech.image_token is not None, "a model without a placeholder was given plans"
            ids += [speech.image_token] * plans[part.picture].tile_tokens[part.tile]
        else:
            ids += speech.spell(part)
    return Encoded(tuple(ids), tuple(answers))


def _chat(turns: Sequence[Turn], speech: Speech, template: str, pictures: int) -> list[Text | Picture | Spoken]:
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        shown = tuple(Picture(i) for i in range(pictures)) if number == 0 else ()
        messages += [
            Message("user", (*shown, turn.prompt)),
            Message("assistant", (_spoken(turn.answer, speech),)),
        ]
    return render(template, messages, bos=speech.bos, eos=speech.eos, answer=False)


def _lines(turns: Sequence[Turn], speech: Speech) -> list[Text | Picture | Spoken]:
    segments: list[Text | Picture | Spoken] = [Text(speech.bos, special=True)]
    for turn in turns:
        segments += [Text(f"{turn.prompt}\n", special=False), _spoken(turn.answer, speech), Text("\n", special=False)]
    return segments


def _spoken(answer: str, speech: Speech) -> Spoken:
    return Spoken(answer, tuple(speech.spell(Text(answer, special=False))))
