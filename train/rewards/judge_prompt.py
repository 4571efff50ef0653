"""What a judge of captions is asked: short conversations that end where it says one word.

The first turn begins with the instruction (not every chat template has a system turn); examples, good and bad ones in
turn, are turns that were answered already, so that a small model knows the form; the last turn is the case. The caption
comes before the event, so that what was read of it serves all its events.
"""

from collections.abc import Sequence

from magicvl.edge.prompt import Message
from magicvl.train.filters.judge_prompt import WORDS
from magicvl.train.rewards.chooser import Question

MARKS = ("1", "2", "3", "4", "5")
"""From worst to best."""

EVENT = (
    "You check captions of films. Say Yes if the caption tells that the event happens: the same one does the same "
    "thing, also in other words. Say No if somebody else does it, if the two change places, if something else is done, "
    "or if the caption does not tell it."
)
EVENT_EXAMPLES = (
    ("The yellow car passes the bus. The bus stops.", "the yellow car passes the bus", "Yes"),
    ("The yellow car passes the bus. The bus stops.", "the bus passes the yellow car", "No"),
    ("A girl puts a cup on the table and a boy laughs.", "a boy is laughing", "Yes"),
    ("A girl puts a cup on the table and a boy laughs.", "a girl takes a cup off the table", "No"),
)
COMPLETENESS = (
    "You mark captions of films. The reference tells what happens in a film. Mark how much of it the caption tells "
    "rightly: 5 for all of it, also in other words; 4 for most; 3 for a half; 2 for little; 1 for nothing. What is "
    "told wrongly, or of somebody else, is not told."
)
COMPLETENESS_EXAMPLES = (
    ("The yellow car passes the bus. The bus stops.", "A bus is overtaken by a yellow car and comes to a halt.", "5"),
    ("A girl puts a cup on the table. A boy laughs.", "A girl takes a cup off the table. A dog laughs.", "1"),
    ("A girl puts a cup on the table. A boy laughs.", "A boy laughs.", "3"),
)
NATURALNESS = (
    "You mark the language of captions of films. 5 is a fluent text as a person would write it, 3 a clumsy one, 1 one "
    "that is broken, repeats itself or only lists words. What it tells does not matter."
)
NATURALNESS_EXAMPLES = (
    ("A yellow car passes the bus, which has stopped at the corner.", "5"),
    ("car yellow pass pass bus bus stops stops", "1"),
    ("A car passes a bus. A car passes a bus. A car passes a bus.", "1"),
    ("A girl puts a cup on the table while a boy laughs.", "5"),
)


def event_question(caption: str, event: str) -> Question:
    """Whether the caption tells the event."""
    told = [(_event(*case[:2]), case[2]) for case in EVENT_EXAMPLES]
    return Question(_conversation(EVENT, told, _event(caption, event)), WORDS)


def completeness_question(caption: str, reference: str) -> Question:
    """How much of the reference the caption tells."""
    told = [(_complete(*case[:2]), case[2]) for case in COMPLETENESS_EXAMPLES]
    return Question(_conversation(COMPLETENESS, told, _complete(reference, caption)), MARKS)


def naturalness_question(caption: str) -> Question:
    """How natural the caption's language is."""
    told = [(_natural(case[0]), case[1]) for case in NATURALNESS_EXAMPLES]
    return Question(_conversation(NATURALNESS, told, _natural(caption)), MARKS)


def film_told(caption: str) -> tuple[Message, ...]:
    """A conversation behind which the events of the caption are likelier than behind `film_untold`."""
    return (Message("user", (f"{caption}\nWhat happens in this film? Say one thing.",)),)


def film_untold() -> tuple[Message, ...]:
    """The same without any caption."""
    return (Message("user", ("What happens in this film? Say one thing.",)),)


def film_asked() -> tuple[Message, ...]:
    """A conversation behind which a natural caption is likely."""
    return (Message("user", ("Tell what happens in a film, in plain sentences.",)),)


def _conversation(instruction: str, told: Sequence[tuple[str, str]], case: str) -> tuple[Message, ...]:
    turns: list[Message] = []
    for number, (text, word) in enumerate(told):
        turns += [Message("user", (text if number else f"{instruction}\n\n{text}",)), Message("assistant", (word,))]
    return (*turns, Message("user", (case,)))


def _event(caption: str, event: str) -> str:
    return f"Caption: {caption}\nEvent: {event}\nDoes the caption tell this event? Yes or No."


def _complete(reference: str, caption: str) -> str:
    return f"Reference: {reference}\nCaption: {caption}\nHow much of the reference does it tell? 1 to 5."


def _natural(caption: str) -> str:
    return f"Caption: {caption}\nHow natural is its language? 1 to 5."
