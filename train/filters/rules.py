"""The rules that look at one sample, in the order in which they are asked. Each is a pure function."""

from collections.abc import Callable, Iterator

import numpy as np

from magicvl.errors import PictureError
from magicvl.train.filters.characters import anomalous_keyword, odd_characters, refusal
from magicvl.train.filters.repetition import repetition
from magicvl.train.filters.thresholds import Thresholds
from magicvl.train.samples.opening import open_pictures
from magicvl.train.samples.sample import Sample

Rule = Callable[[Sample, Thresholds], str | None]
"""Says why a sample has to go; None where it may stay."""


def empty(sample: Sample, line: Thresholds) -> str | None:
    """Answers that say nothing."""
    for number, turn in enumerate(sample.turns, 1):
        count = sum(not character.isspace() for character in turn.answer)
        if count < line.fewest_answer:
            return f"answer {number} has {count} characters"
    return None


def length(sample: Sample, line: Thresholds) -> str | None:
    """Words without end."""
    if len(sample.turns) > line.most_turns:
        return f"{len(sample.turns):,} turns"
    for number, turn in enumerate(sample.turns, 1):
        if len(turn.prompt) > line.most_prompt:
            return f"prompt {number} has {len(turn.prompt):,} characters"
        if len(turn.answer) > line.most_answer:
            return f"answer {number} has {len(turn.answer):,} characters"
    return None


def characters(sample: Sample, line: Thresholds) -> str | None:
    """Characters that do not belong."""
    return _first(odd_characters(text, line) for text in _texts(sample))


def keywords(sample: Sample, line: Thresholds) -> str | None:
    """Texts that came along by accident."""
    return _first(anomalous_keyword(text, line) for text in _texts(sample))


def refusals(sample: Sample, line: Thresholds) -> str | None:
    """Answers that refuse."""
    return _first(refusal(turn.answer, line) for turn in sample.turns)


def repetitions(sample: Sample, line: Thresholds) -> str | None:
    """Answers that go round in circles."""
    return _first(repetition(turn.answer, line) for turn in sample.turns)


def pictures(sample: Sample, line: Thresholds) -> str | None:
    """Pictures that cannot be opened, or that show nothing. They should be opened already, see `open_or_say`."""
    try:
        opened = open_pictures(sample).pictures
    except PictureError as error:
        return str(error)
    for number, picture in enumerate(opened, 1):
        short, long = sorted(picture.size)  # type: ignore[union-attr]
        if short < line.fewest_side or long > line.most_aspect * short:
            return f"picture {number} has {long} x {short} px"
        if np.asarray(picture.convert("L").reduce(max(1, short // 64))).std() < line.fewest_contrast:  # type: ignore[union-attr]
            return f"picture {number} is a blank"
    return None


RULES: dict[str, Rule] = {
    "empty": empty,
    "length": length,
    "characters": characters,
    "keywords": keywords,
    "refusal": refusals,
    "repetition": repetitions,
    "picture": pictures,
}
"""By the names that reports give them."""


def broken_rule(sample: Sample, line: Thresholds) -> tuple[str, str] | None:
    """The first rule that a sample breaks, and how."""
    for name, rule in RULES.items():
        if (why := rule(sample, line)) is not None:
            return name, why
    return None


def _texts(sample: Sample) -> Iterator[str]:
    for turn in sample.turns:
        yield turn.prompt
        yield turn.answer


def _first(found: Iterator[str | None]) -> str | None:
    return next((why for why in found if why is not None), None)
