"""A sample as token ids, with the answers marked: those are what is learned.

The ids are the very ones that the processor gives for the same messages at inference, turn by turn.
"""

from dataclasses import dataclass

from magicvl.edge.plan import Plan
from magicvl.edge.prompt import Message, Picture, Pieces, Spoken, Text, Tile, expand, render
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.samples.sample import Sample

IGNORED = -100


@dataclass(frozen=True)
class Conversation:
    """A sample's tokens."""

    ids: list[int]
    labels: list[int]
    """The id that each position must predict; IGNORED where that is no answer's."""
    turns: list[int]
    """Which turn's answer a label is of, from 0; -1 where there is no label."""


def messages_of(sample: Sample) -> list[Message]:
    """The sample's turns in order; its pictures stand before the first words."""
    messages = []
    for number, turn in enumerate(sample.turns):
        pictures = tuple(map(Picture, range(len(sample.pictures)))) if number == 0 else ()
        messages += [Message("user", (*pictures, turn.prompt)), Message("assistant", (turn.answer,))]
    return messages


def tokenise(sample: Sample, plans: list[Plan], processor: MagicVLProcessor) -> Conversation:
    """The sample's tokens, labels on the answers and on the token that ends each."""
    tokenizer = processor.tokenizer
    messages = messages_of(sample)
    segments = render(
        str(processor.chat_template),
        messages,
        bos=tokenizer.bos_token or "",
        eos=tokenizer.eos_token or "",
        answer=False,
    )
    # What was said comes in the order of the messages; an empty text leaves no segment.
    spoken = iter([message.role for message in messages for part in message.parts if isinstance(part, str) and part])
    ids: list[int] = []
    answer_of: list[int] = []
    turn, ends = -1, False
    for part in expand(segments, plans, Pieces(**processor.picture_pieces)):
        own, is_answer = _ids(part, plans, processor), False
        if isinstance(part, Text) and not part.special:
            is_answer = next(spoken) == "assistant"
            turn += is_answer
        marks = [turn if is_answer else -1] * len(own)
        if ends and own and own[0] == tokenizer.eos_token_id:
            marks[0] = turn
        ids += own
        answer_of += marks
        ends = is_answer
    return _shifted(ids, answer_of)


def _shifted(ids: list[int], answer_of: list[int]) -> Conversation:
    """Each position predicts the next one."""
    turns = [*answer_of[1:], -1]
    labels = [token if turn >= 0 else IGNORED for token, turn in zip([*ids[1:], IGNORED], turns, strict=True)]
    return Conversation(ids, labels, turns)


def _ids(part: Text | Tile | Spoken, plans: list[Plan], processor: MagicVLProcessor) -> list[int]:
    if isinstance(part, Tile):
        return [processor.image_token_id] * plans[part.picture].tile_tokens[part.tile]
    return list(part.tokens) if isinstance(part, Spoken) else processor.text_ids(part)
