"""Words that mean the same, and words that rule each other out: left and right, red and blue, enter and leave.

Both are told by meanings.toml. A table there is a set of contrasts; each of its entries is one meaning, by its first
word, with the other words for it. Two words of one set and of different meanings are never alike, however near an
embedding finds them. The set `same` only says what means the same.
"""

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

MEANINGS = Path(__file__).with_name("meanings.toml")
NO_CONTRAST = "same"
TWO = "two"
NOT = frozenset({"not", "no", "without"})
NEEDED = ("colour", "side")
"""Sets of which a phrase has to have a word where the truth has one, or saying less would always be right."""
FROM_TO = frozenset({"from", "to"})
"""Words that make the order of two others matter."""


class Meaning(Protocol):
    """A word of known meaning."""

    @property
    def meaning(self) -> str:
        """The first word of those that mean the same."""


def meaning(text: str, lemma: str) -> str:
    """The first word of those that mean the same as this one: looked up as it stands, then by its lemma."""
    known = _known()
    return known.get(text) or known.get(lemma) or lemma


def pair_meaning(verb: str, particle: str) -> str | None:
    """The meaning of two words together (`pick`, `up`), None where they have none of their own."""
    return _known().get(f"{verb} {particle}")


def two_meanings(lemma: str) -> Sequence[str]:
    """The two words that one word means (`rise`: move, up), none for most."""
    return _read()[TWO].get(lemma, ())


def opposed(first: Sequence[Meaning], second: Sequence[Meaning]) -> bool:
    """Whether two phrases rule each other out: in some set each says something that the other one does not.

    `red` and `red and white` do not, `red` and `blue and white` do, `from red to white` and `from white to red` do. So
    does a `not` that only one of them has.
    """
    ordered = _has(first, FROM_TO) or _has(second, FROM_TO)
    return _has(first, NOT) != _has(second, NOT) or any(
        bool(set(ours) - set(theirs) and set(theirs) - set(ours))
        or (ordered and ours != theirs and sorted(ours) == sorted(theirs))
        for ours, theirs in _by_set(first, second)
    )


def beyond(said: Sequence[Meaning], true: Sequence[Meaning]) -> bool:
    """Whether in some set of which the truth has a word, a phrase has others: more of them, fewer or in another order.

    What lists all colours is beyond each of them. A phrase without any word of the set says nothing against the truth.
    """
    return _has(said, NOT) != _has(true, NOT) or any(ours != theirs for ours, theirs in _by_set(said, true))


def lacks(said: Sequence[Meaning], true: Sequence[Meaning]) -> bool:
    """Whether a phrase leaves open a colour or a side that the truth names: `moves` is not yet `moves left`."""
    return any(_has(true, each) and not _has(said, each) for each in (_set(name) for name in NEEDED))


def _has(phrase: Iterable[Meaning], wanted: frozenset[str]) -> bool:
    return any(word.meaning in wanted for word in phrase)


def _by_set(first: Sequence[Meaning], second: Sequence[Meaning]) -> list[tuple[list[str], list[str]]]:
    """The words of each set that both have words of, in order, each once."""
    ours, theirs = _sorted(first), _sorted(second)
    return [(said, theirs[name]) for name, said in ours.items() if name in theirs]


def _sorted(phrase: Iterable[Meaning]) -> dict[str, list[str]]:
    """The words of a phrase that are in a set, by its name, each once."""
    sets = _sets()
    found: dict[str, list[str]] = {}
    for word in phrase:
        name = sets.get(word.meaning)
        if name is not None and word.meaning not in found.setdefault(name, []):
            found[name].append(word.meaning)
    return found


@cache
def _sets() -> dict[str, str]:
    """The set of each meaning that has one."""
    return {first: name for name, entries in _read().items() if name not in {NO_CONTRAST, TWO} for first in entries}


@cache
def _set(name: str) -> frozenset[str]:
    return frozenset(_read()[name])


@cache
def _known() -> dict[str, str]:
    sets = [entries for name, entries in _read().items() if name != TWO]
    return {word: first for entries in sets for first, others in entries.items() for word in (first, *others)}


@cache
def _read() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    return found
