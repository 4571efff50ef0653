"""Rules of a grammar, and their text in GBNF, the form that llama.cpp's parser reads.

Whatever a user gave stands in that text as escaped literals and code points alone; rules have names of ours.
What would make llama.cpp overflow its stack or follow a great many ways at once is found here and refused.

Source: llama.cpp, grammars/README.md and src/llama-grammar.cpp.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magicvl.edge.automaton import Automaton, Ranges
from magicvl.errors import UsageError

MOST_RULES = 20_000
MOST_REPEATS = 1_000
MOST_WAYS = 5_000


@dataclass(frozen=True)
class Literal:
    """A text as it is."""

    text: str

    def to_gbnf(self) -> str:
        """The text in quotes, all but letters and digits as code points."""
        return '"' + "".join(c if c.isascii() and c.isalnum() else _code_point(ord(c)) for c in self.text) + '"'


@dataclass(frozen=True)
class Characters:
    """One character of some."""

    ranges: Ranges

    def to_gbnf(self) -> str:
        """The set, by code points."""
        return "[" + "".join(f"{_code_point(a)}-{_code_point(b)}" for a, b in self.ranges) + "]"


@dataclass(frozen=True)
class Rule:
    """Another rule, once, or from `least` to `most` times; None for any number."""

    name: str
    least: int = 1
    most: int | None = 1

    def to_gbnf(self) -> str:
        """The name, and how often."""
        if (self.least, self.most) == (1, 1):
            return self.name
        return f"{self.name}{{{self.least},{'' if self.most is None else self.most}}}"


Element = Literal | Characters | Rule
Way = tuple[Element, ...]


def _code_point(value: int) -> str:
    return f"\\U{value:08X}"


class Rules:
    """The rules of one grammar."""

    def __init__(self) -> None:
        self._ways: dict[str, list[Way]] = {}
        self._size = 0

    def reserve(self) -> str:
        """The name of a rule to be defined later."""
        self._spend(1)
        name = f"r{len(self._ways)}"
        self._ways[name] = []
        return name

    def define(self, name: str, ways: Sequence[Way]) -> Rule:
        """Defines a rule by the ways to fulfil it; an empty one is fulfilled by nothing at all."""
        for way in ways:
            for element in way:
                # llama.cpp writes repeats out.
                self._spend(max(element.least, element.most or 1) if isinstance(element, Rule) else 1)
        # A way twice over would be followed twice.
        self._ways[name] = list(dict.fromkeys(ways))
        return Rule(name)

    def add(self, *ways: Way) -> Rule:
        """A new rule."""
        return self.define(self.reserve(), ways)

    def _spend(self, count: int) -> None:
        self._size += count
        if self._size > MOST_RULES:
            raise UsageError(f"it takes more than {MOST_RULES:,} grammar rules and symbols: make it smaller")

    def words(self, texts: Sequence[str]) -> Rule:
        """One of some texts, all different. What they begin with in common is a single way."""
        first = self.reserve()
        todo = [(first, sorted(set(texts)))]
        while todo:
            name, left = todo.pop()
            ways: list[Way] = [()] if not left[0] else []
            for group in _by_first(left[1:] if ways else left):
                # Sorted, so the first and the last share the least.
                shared = _shared(group[0], group[-1])
                if len(group) == 1:
                    ways.append((Literal(shared),))
                else:
                    rest = self.reserve()
                    todo.append((rest, [text[len(shared) :] for text in group]))
                    ways.append((Literal(shared), Rule(rest)))
            self.define(name, ways)
        return Rule(first)

    def automaton(self, automaton: Automaton, spell: "Spelling") -> Rule:
        """A text of the automaton's, its characters spelled by `spell`."""
        names = [self.reserve() for _ in automaton.edges]
        for number, (name, edges) in enumerate(zip(names, automaton.edges, strict=True)):
            ways: list[Way] = [()] if number in automaton.final else []
            for ranges, to in edges:
                ways.extend((spelled, Rule(names[to])) for spelled in spell(ranges))
            self.define(name, ways)
        return Rule(names[0])

    def to_gbnf(self, root: Rule) -> str:
        """The grammar's text. Raises UsageError for one that no text fulfils or that llama.cpp cannot follow."""
        self._drop_endless()
        if not self._ways[root.name]:
            raise UsageError("no finite answer can fulfil it")
        self._count_ways()
        lines = [f"root ::= {root.to_gbnf()}"]
        for name, ways in self._ways.items():
            if ways:
                text = " | ".join(" ".join(element.to_gbnf() for element in way) or '""' for way in ways)
                lines.append(f"{name} ::= {text}")
        return "\n".join(lines) + "\n"

    def _drop_endless(self) -> None:
        """Drops the ways that never come to an end, such as an object that must hold another one like it."""
        ending: set[str] = set()

        def ends(way: Way) -> bool:
            return all(not isinstance(e, Rule) or e.least == 0 or e.name in ending for e in way)

        before = -1
        while before < len(ending):
            before = len(ending)
            # What a rule refers to is mostly defined after it.
            ending.update(
                name for name in reversed(self._ways) if name not in ending and any(map(ends, self._ways[name]))
            )
        for name, ways in self._ways.items():
            kept = [way for way in ways if ends(way)]
            self._ways[name] = [tuple(e for e in way if not isinstance(e, Rule) or e.name in ending) for way in kept]

    def _count_ways(self) -> None:
        """Refuses a rule that leads to itself with nothing read, or to too many others."""
        empty = self._empty()
        counts: dict[str, int] = {}
        for root in self._ways:
            path: dict[str, None] = {}
            todo = [(root, False)]
            while todo:
                name, leaving = todo.pop()
                if leaving:
                    del path[name]
                    counts[name] = 1 + sum(counts[each] for each in self._leftmost(name, empty))
                    if counts[name] > MOST_WAYS:
                        raise UsageError(f"it can begin or go on in more than {MOST_WAYS:,} ways: nest it less")
                elif name in path:
                    raise UsageError("it refers to itself without end")
                elif name not in counts:
                    path[name] = None
                    todo.append((name, True))
                    todo.extend((each, False) for each in self._leftmost(name, empty))

    def _empty(self) -> set[str]:
        """The rules that nothing at all fulfils."""
        empty: set[str] = set()

        def may(way: Way) -> bool:
            return all(
                (isinstance(e, Rule) and (e.least == 0 or e.name in empty)) or (isinstance(e, Literal) and not e.text)
                for e in way
            )

        before = -1
        while before < len(empty):
            before = len(empty)
            empty.update(name for name in reversed(self._ways) if any(map(may, self._ways[name])))
        return empty

    def _leftmost(self, name: str, empty: set[str]) -> list[str]:
        """The rules that may come first in a rule."""
        found = []
        for way in self._ways[name]:
            for element in way:
                if not isinstance(element, Rule):
                    break
                found.append(element.name)
                if element.least and element.name not in empty:
                    break
        return found


class Spelling:
    """How a set of characters is spelled: as it is."""

    def __call__(self, ranges: Ranges) -> list[Element]:
        """The ways to spell one character of the set."""
        return [Characters(ranges)]


def _by_first(texts: Sequence[str]) -> list[list[str]]:
    """Sorted texts, none empty, by their first characters."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[0], []).append(text)
    return list(groups.values())


def _shared(left: str, right: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    return left[:length]
