"""What a judge is asked: a short conversation that ends where it says Yes or No.

The first turn begins with the instruction (not every chat template has a system turn); two examples, one of each
kind, are turns that were answered already, so that a small model knows the form; the last turn is the case:

    Question: How many apples are there?
    Answer: There are two apples.
    Does the answer fit the question? Yes or No.

`coherence` gives question and answer. `facts` also gives what is known of the pictures, from the sample's boxes: the
names of objects, with their numbers, and the texts that are printed there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from magicvl.edge.prompt import Message
from magicvl.train.samples.sample import Box, Sample

Check = Literal["coherence", "facts"]
CHECKS: tuple[Check, ...] = get_args(Check)
WORDS = ("Yes", "No")
"""What the judge can say: that the answer is good, or not."""
MOST_CHARACTERS = 2_000
"""Of each part of a case that the judge is given."""

INSTRUCTIONS: dict[Check, str] = {
    "coherence": "You check answers. Say Yes if the answer is about what the question asks. Say No if the answer is "
    "about something else, makes no sense or contradicts itself.",
    "facts": "You check answers against facts about a picture. Say Yes if the facts support the answer. Say No if the "
    "answer contradicts the facts or names something that is not in them.",
}
QUESTIONS: dict[Check, str] = {
    "coherence": "Does the answer fit the question? Yes or No.",
    "facts": "Do the facts support the answer? Yes or No.",
}


@dataclass(frozen=True)
class Case:
    """A question with its answer, and what is known about the pictures."""

    prompt: str
    answer: str
    facts: str = ""


EXAMPLES: dict[Check, tuple[tuple[Case, bool], ...]] = {
    "coherence": (
        (Case("What is the cat lying on?", "The cat is lying on a blue blanket."), True),
        (Case("Which country has the longest coast?", "She puts the cups back into the cupboard."), False),
    ),
    "facts": (
        (Case("How many cups are there?", "There are three cups.", "three cups, one spoon"), True),
        (Case("What does the label say?", 'The label says "Sugar".', 'text: "Salt"'), False),
    ),
}


def messages(check: Check, case: Case) -> list[Message]:
    """The conversation up to where the judge says Yes or No."""
    asked: list[Message] = []
    for example, good in EXAMPLES[check]:
        asked.append(Message("user", (_spell(check, example),)))
        asked.append(Message("assistant", (WORDS[0] if good else WORDS[1],)))
    first = Message("user", (f"{INSTRUCTIONS[check]}\n\n{asked[0].parts[0]}",))
    return [first, *asked[1:], Message("user", (_spell(check, case),))]


def both_sides(check: Check, case: Case) -> tuple[list[Message], list[Message]]:
    """The question that an answer belongs to, and one that says less: what must make the answer likelier."""
    prompt = _cut(case.prompt)
    told = f"The picture shows {_cut(case.facts)}. {prompt}" if check == "facts" else prompt
    less = prompt if check == "facts" else "Say something."
    return [Message("user", (told,))], [Message("user", (less,))]


def cases_of(sample: Sample) -> list[tuple[Check, Case]]:
    """What there is to ask about a sample: each turn's coherence, and its facts where they are known."""
    known = facts_of(sample.boxes) if sample.pictures and sample.boxes else ""
    asked: list[tuple[Check, Case]] = []
    for turn in sample.turns:
        if turn.prompt:
            asked.append(("coherence", Case(turn.prompt, turn.answer)))
        if known:
            asked.append(("facts", Case(turn.prompt, turn.answer, known)))
    return asked


def facts_of(boxes: Sequence[Box]) -> str:
    """The objects of some boxes by name and number, and the texts."""
    counted = Counter(box.label for box in boxes if box.kind == "object")
    told = [f"{number} x {label}" for label, number in counted.items()]
    texts = ", ".join(f'"{box.label}"' for box in boxes if box.kind == "text")
    return ", ".join([*told, f"text: {texts}"] if texts else told)


def _spell(check: Check, case: Case) -> str:
    lines = [f"Question: {_cut(case.prompt)}", f"Answer: {_cut(case.answer)}", QUESTIONS[check]]
    return "\n".join([f"Facts: {_cut(case.facts)}", *lines] if check == "facts" else lines)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."
