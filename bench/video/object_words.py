"""Which objects a caption names, by words: an object is no event, and the rules for events find no deed in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.train.rewards.clauses import clauses
from magicvl.train.rewards.contrast import opposed
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.words import Word, content

LEAST_SHARE = 0.6
"""Words of an object that a clause has to have."""


@dataclass(frozen=True)
class ObjectWords:
    """An object is named where one clause has most of its words, and none that rules it out."""

    name: str = "words (no language model)"

    def entails(self, asked: Sequence[Asked]) -> list[tuple[bool, ...]]:
        """One verdict an object, for each caption."""
        return [self._verdicts(each) for each in asked]

    def _verdicts(self, asked: Asked) -> tuple[bool, ...]:
        said = [content(clause) for clause in clauses(asked.caption)]
        return tuple(any(_names(clause, content(thing)) for clause in said) for thing in asked.events)


def _names(clause: Sequence[Word], thing: Sequence[Word]) -> bool:
    """A clause may tell of other things too: its words rule out only what it does not have of the object."""
    wanted = {word.meaning for word in thing}
    kept = [word for word in clause if word.meaning in wanted]
    if not wanted or len({word.meaning for word in kept}) < LEAST_SHARE * len(wanted):
        return False
    missing = [word for word in thing if word.meaning not in {each.meaning for each in kept}]
    return not opposed(clause, missing)
