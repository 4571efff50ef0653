"""A regular expression, as Python reads it, to an automaton.

What only a backtracking matcher can do is refused: back references, looking ahead or behind, word boundaries,
possessive repeats, flags. `\\d`, `\\w` and `\\s` are the ASCII ones, `.` is all but a newline.
"""

import importlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

from magicvl.edge.automaton import CHARACTERS, Automaton, Places, Ranges, union, without
from magicvl.errors import UsageError

# Python's own parser: what it takes and how it reads it is then what users know.
_parser: Any = importlib.import_module("re._parser")

MOST_CHARACTERS = 4_000

_DIGIT = ((0x30, 0x39),)
_SPACE = ((0x09, 0x0D), (0x20, 0x20))
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_CATEGORIES: dict[str, Ranges] = {
    "CATEGORY_DIGIT": _DIGIT,
    "CATEGORY_NOT_DIGIT": without(_DIGIT),
    "CATEGORY_SPACE": _SPACE,
    "CATEGORY_NOT_SPACE": without(_SPACE),
    "CATEGORY_WORD": _WORD,
    "CATEGORY_NOT_WORD": without(_WORD),
}
_BEGIN = {"AT_BEGINNING", "AT_BEGINNING_STRING"}
_END = {"AT_END", "AT_END_STRING"}
_NAMES = {
    "ASSERT": "looking ahead or behind",
    "ASSERT_NOT": "looking ahead or behind",
    "GROUPREF": "a back reference",
    "GROUPREF_EXISTS": "a back reference",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repeat",
    "AT": "an anchor inside, or a word boundary",
}


def automaton_of(pattern: str, *, anywhere: bool = False) -> Automaton:
    """The automaton of all texts that `pattern` matches as a whole, or `anywhere` in them as re.search does.

    Raises UsageError for what is no regular expression, not supported, or too large.
    """
    shown = repr(pattern if len(pattern) <= 60 else pattern[:57] + "...")
    if len(pattern) > MOST_CHARACTERS:
        raise UsageError(f"regex {shown}: {len(pattern):,} characters, at most {MOST_CHARACTERS:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = _parser.parse(pattern, re.ASCII)
        if parsed.state.flags & ~int(re.ASCII):
            raise UsageError("a flag is not supported: write it out, such as [aA] for (?i)a")
        return _Builder(anywhere).build(list(parsed))
    except re.error as error:
        raise UsageError(f"regex {shown}: {error}") from error
    except UsageError as error:
        raise UsageError(f"regex {shown}: {error}") from error
    except (RecursionError, OverflowError) as error:
        raise UsageError(f"regex {shown}: nested too deeply or repeated too often") from error


class _Builder:
    """Turns the parser's tree into places. A way begins at a place given and ends at the one returned."""

    def __init__(self, anywhere: bool) -> None:
        self._anywhere = anywhere
        self._places = Places()

    def build(self, items: list[tuple[Any, Any]]) -> Automaton:
        begins = bool(items) and _is_at(items[0], _BEGIN)
        ends = bool(items) and _is_at(items[-1], _END)
        here = 0 if begins or not self._anywhere else self._anything(0)
        # Searching, an anchor deeper inside would have to undo this.
        here = self._sequence(items, here, first=begins or not self._anywhere, last=ends or not self._anywhere)
        return self._places.automaton(here if ends or not self._anywhere else self._anything(here))

    def _anything(self, begin: int) -> int:
        end = self._places.new()
        self._places.skip(begin, end)
        self._places.skip(self._places.step(end, CHARACTERS), end)
        return end

    def _sequence(self, items: Sequence[tuple[Any, Any]], begin: int, *, first: bool, last: bool) -> int:
        here = begin
        for i, item in enumerate(items):
            before = first and all(_is_at(each, _BEGIN) for each in items[:i])
            after = last and all(_is_at(each, _END) for each in items[i + 1 :])
            here = self._item(item, here, first=before, last=after)
        return here

    def _item(self, item: tuple[Any, Any], begin: int, *, first: bool, last: bool) -> int:
        name, value = str(item[0]), item[1]
        if (first and _is_at(item, _BEGIN)) or (last and _is_at(item, _END)):
            return begin
        if name in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
            ranges = _characters(name, value)
            if not ranges:
                raise UsageError("a set that no character is in")
            return self._places.step(begin, ranges)
        if name == "BRANCH":
            end = self._places.new()
            for alternative in value[1]:
                self._places.skip(self._sequence(list(alternative), begin, first=first, last=last), end)
            return end
        if name == "SUBPATTERN":
            _, added, dropped, inner = value
            if added or dropped:
                raise UsageError("a flag is not supported: write it out, such as [aA] for (?i:a)")
            return self._sequence(list(inner), begin, first=first, last=last)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            least, most, inner = value
            return self._repeat(list(inner), int(least), None if most is _parser.MAXREPEAT else int(most), begin)
        raise UsageError(f"{_NAMES.get(name, name)} is not supported")

    def _repeat(self, items: list[tuple[Any, Any]], least: int, most: int | None, begin: int) -> int:
        def once(here: int) -> int:
            # A place of its own, so that an empty group repeated meets the limit too.
            fresh = self._places.new()
            self._places.skip(here, fresh)
            return self._sequence(items, fresh, first=False, last=False)

        here = begin
        for _ in range(least):
            here = once(here)
        end = self._places.new()
        self._places.skip(here, end)
        if most is None:
            self._places.skip(once(end), end)
        else:
            for _ in range(most - least):
                here = once(here)
                self._places.skip(here, end)
        return end


def _is_at(item: tuple[Any, Any], which: set[str]) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in which


def _characters(name: str, value: Any) -> Ranges:
    """The characters of one item of the parser's."""
    if name == "ANY":
        return without(((0x0A, 0x0A),))
    if name == "LITERAL":
        return union([(value, value)])
    if name == "NOT_LITERAL":
        return without(union([(value, value)]))
    negated = str(value[0][0]) == "NEGATE"
    found: list[tuple[int, int]] = []
    for kind, what in value[1:] if negated else value:
        if str(kind) == "CATEGORY":
            found.extend(_CATEGORIES[str(what)])
        elif str(kind) == "RANGE":
            found.append((what[0], what[1]))
        else:
            found.append((what, what))
    return without(union(found)) if negated else union(found)
