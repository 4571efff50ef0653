"""VDCscore with a language model: whether a caption gives the right answer to a question, and how well, 0 to 5.

The paper (arXiv 2410.03051) has the model answer freely from the caption and then compare the answer with the right
one. A judge here only ever says one of some words, so both are one step: it sees caption, question and right answer,
and says whether the caption answers so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.bench.video.answers_part import MOST_GRADE, Answered
from magicvl.bench.video.item import Pair
from magicvl.edge.prompt import Message
from magicvl.train.filters.judge_prompt import WORDS
from magicvl.train.rewards.chooser import Chooser, Question

GRADES = tuple(map(str, range(MOST_GRADE + 1)))
RIGHT = (
    "You check whether a caption of a film answers a question rightly. Say Yes if somebody who knows nothing but the "
    "caption would give the right answer, also in other words. Say No if the caption says otherwise or does not tell."
)
RIGHT_EXAMPLES = (
    ("A yellow car passes a bus.", Pair("What does the car pass?", "A bus."), "Yes"),
    ("A yellow car passes a bus.", Pair("What colour is the bus?", "Blue."), "No"),
    ("A girl puts a cup on the table.", Pair("Who puts the cup down?", "A young woman."), "Yes"),
    ("A girl puts a cup on the table.", Pair("Where is the cup put?", "On the floor."), "No"),
)
GRADE = (
    "You mark how well a caption of a film answers a question: 5 if it gives the right answer fully, 3 for half of it, "
    "0 if it says otherwise or does not tell."
)
GRADE_EXAMPLES = (
    ("A yellow car passes a bus.", Pair("What does the car pass?", "A bus."), "5"),
    ("A yellow car passes a bus.", Pair("What colour is the bus?", "Blue."), "0"),
    ("A girl puts a cup on the table.", Pair("What is put where?", "A red cup on a wooden table."), "3"),
)
Example = tuple[str, Pair, str]


@dataclass(frozen=True)
class JudgedAnswers:
    """Asks a language model."""

    chooser: Chooser

    @property
    def name(self) -> str:
        """The model's."""
        return self.chooser.name

    def answer(self, caption: str, pairs: Sequence[Pair]) -> list[Answered]:
        """One verdict a question. Raises MagicVLError where the model cannot be asked."""
        rights = [_question(RIGHT, RIGHT_EXAMPLES, caption, pair, WORDS) for pair in pairs]
        grades = [_question(GRADE, GRADE_EXAMPLES, caption, pair, GRADES) for pair in pairs]
        shares = self.chooser.choose([*rights, *grades])
        said, marked = shares[: len(pairs)], shares[len(pairs) :]
        return [
            Answered(yes > no, max(range(len(marks)), key=marks.__getitem__))
            for (yes, no), marks in zip(said, marked, strict=True)
        ]


def _question(
    instruction: str, examples: Sequence[Example], caption: str, pair: Pair, words: tuple[str, ...]
) -> Question:
    """The instruction, examples that were answered already, then the case."""
    turns: list[Message] = []
    for number, (told, asked, word) in enumerate(examples):
        text = _case(told, asked, words)
        turns += [Message("user", (text if number else f"{instruction}\n\n{text}",)), Message("assistant", (word,))]
    return Question((*turns, Message("user", (_case(caption, pair, words),))), words)


def _case(caption: str, pair: Pair, words: Sequence[str]) -> str:
    said = f"{words[0]} or {words[1]}" if len(words) == 2 else f"{words[0]} to {words[-1]}"
    return f"Caption: {caption}\nQuestion: {pair.question}\nRight answer: {pair.answer}\n{said}."
