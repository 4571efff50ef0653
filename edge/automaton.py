"""Regular expressions as deterministic automata over Unicode characters.

A grammar made of one never has two ways to go on, so that llama.cpp follows a single stack, in time linear in
the answer, whatever the expression: `(a|a|a)*b` costs no more than `a*b`.

Source: the subset construction, Aho, Sethi, Ullman, "Compilers", 3.7.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from magicvl.errors import UsageError

Ranges = tuple[tuple[int, int], ...]
"""Characters: sorted, separate (first, last) code points."""

CHARACTERS: Ranges = ((1, 0xD7FF), (0xE000, 0x10FFFF))
"""All that an answer may hold: not NUL, which ends a text in C, nor surrogates, which are no characters."""

MOST_PLACES = 5_000
MOST_STATES = 2_000
MOST_WORK = 1_000_000


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The characters of any of the ranges, less what an answer may not hold."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(
        (max(first, low), min(last, high))
        for first, last in merged
        for low, high in CHARACTERS
        if max(first, low) <= min(last, high)
    )


def without(ranges: Ranges) -> Ranges:
    """All characters but these."""
    rest: list[tuple[int, int]] = []
    begin = 1
    for first, last in ranges:
        if first > begin:
            rest.append((begin, first - 1))
        begin = last + 1
    return union([*rest, (begin, 0x10FFFF)] if begin <= 0x10FFFF else rest)


@dataclass(frozen=True)
class Automaton:
    """States from 0 on; the first is where a text begins."""

    edges: tuple[tuple[tuple[Ranges, int], ...], ...]
    """Of each state: which characters lead to which state. No character leads to two."""
    final: frozenset[int]
    """States in which a text may end."""

    def matches(self, text: str) -> bool:
        """Whether the whole text is one of the automaton's."""
        state = 0
        for character in map(ord, text):
            following = [to for ranges, to in self.edges[state] if any(a <= character <= b for a, b in ranges)]
            if not following:
                return False
            state = following[0]
        return state in self.final


class Places:
    """An automaton in the making, which may be in several places at once. Place 0 is the beginning."""

    def __init__(self) -> None:
        self._edges: list[list[tuple[Ranges, int]]] = [[]]
        self._free: list[list[int]] = [[]]
        self._work = 0

    def new(self) -> int:
        """One more place. UsageError where there are too many."""
        if len(self._edges) >= MOST_PLACES:
            raise UsageError(f"spelled out it is longer than {MOST_PLACES:,} characters: use fewer or smaller repeats")
        self._edges.append([])
        self._free.append([])
        return len(self._edges) - 1

    def step(self, begin: int, ranges: Ranges) -> int:
        """The place that one of these characters leads to."""
        end = self.new()
        self._edges[begin].append((ranges, end))
        return end

    def skip(self, begin: int, end: int) -> None:
        """Makes a way without any character."""
        self._free[begin].append(end)

    def automaton(self, end: int) -> Automaton:
        """The deterministic automaton of all ways from place 0 to `end`."""
        first = self._closure([0])
        numbers = {first: 0}
        states = [first]
        edges: list[tuple[tuple[Ranges, int], ...]] = []
        # The list grows while it is read.
        for state in states:
            out: list[tuple[Ranges, int]] = []
            for ranges, target in self._steps(state):
                if target not in numbers:
                    if len(states) >= MOST_STATES:
                        raise UsageError(
                            f"it takes more than {MOST_STATES:,} states: use fewer or smaller repeats, or make "
                            f"alternatives differ sooner"
                        )
                    numbers[target] = len(states)
                    states.append(target)
                out.append((ranges, numbers[target]))
            edges.append(tuple(out))
        return Automaton(tuple(edges), frozenset(number for state, number in numbers.items() if end in state))

    def _steps(self, state: frozenset[int]) -> list[tuple[Ranges, frozenset[int]]]:
        """Where each character leads: ranges of characters that lead to the same places are together."""
        found = [(low, high, to) for place in state for ranges, to in self._edges[place] for low, high in ranges]
        cuts = sorted({low for low, _, _ in found} | {high + 1 for _, high, _ in found})
        targets: list[set[int]] = [set() for _ in cuts]
        for low, high, to in found:
            begin, end = bisect_left(cuts, low), bisect_left(cuts, high + 1)
            self._count(end - begin)
            for i in range(begin, end):
                targets[i].add(to)
        grouped: dict[frozenset[int], list[tuple[int, int]]] = {}
        for i, reached in enumerate(targets):
            if reached:
                grouped.setdefault(frozenset(reached), []).append((cuts[i], cuts[i + 1] - 1))
        merged: dict[frozenset[int], list[tuple[int, int]]] = {}
        for reached_places, ranges in grouped.items():
            merged.setdefault(self._closure(reached_places), []).extend(ranges)
        return [(union(ranges), places) for places, ranges in merged.items()]

    def _closure(self, places: Iterable[int]) -> frozenset[int]:
        seen = set(places)
        todo = list(seen)
        while todo:
            for following in self._free[todo.pop()]:
                self._count(1)
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return frozenset(seen)

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > MOST_WORK:
            raise UsageError("it takes too long to prepare: use fewer or smaller repeats")


def all_but(texts: Iterable[str]) -> Automaton:
    """The automaton of every text but these."""
    known = set(texts)
    prefixes = sorted({text[:length] for text in known for length in range(len(text) + 1)} | {""})
    numbers = {prefix: i for i, prefix in enumerate(prefixes)}
    other = len(prefixes)
    edges: list[tuple[tuple[Ranges, int], ...]] = []
    children: dict[str, list[tuple[int, int]]] = {prefix: [] for prefix in prefixes}
    for prefix in prefixes[1:]:
        children[prefix[:-1]].append((ord(prefix[-1]), numbers[prefix]))
    for prefix in prefixes:
        named = union((character, character) for character, _ in children[prefix])
        out: list[tuple[Ranges, int]] = [(((character, character),), to) for character, to in children[prefix]]
        edges.append((*out, (without(named), other)))
    edges.append(((CHARACTERS, other),))
    return Automaton(tuple(edges), frozenset({other} | {numbers[each] for each in prefixes if each not in known}))
