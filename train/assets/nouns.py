"""WordNet's nouns: which words name things that can be seen, and what is a kind of what.

The files are those of the Debian package wordnet-base; their format is in wndb(5WN).
"""

from dataclasses import dataclass, field
from pathlib import Path

from magicvl.errors import SampleError

ANIMAL, ARTIFACT, BODY, FOOD, NATURE, PERSON, PHENOMENON, PLANT = 5, 6, 8, 13, 17, 18, 19, 20
"""Numbers of lexicographer files, lexnames(5WN)."""
THINGS = frozenset({ANIMAL, ARTIFACT, BODY, FOOD, NATURE, PERSON, PLANT})
_FOLDER = "usr/share/wordnet"
# Rules of morphy(7WN) for nouns.
_ENDINGS = (("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"))


@dataclass(frozen=True)
class Sense:
    """One meaning of a word."""

    kind: int
    """Number of its lexicographer file."""
    words: tuple[str, ...]
    """The words for it, the usual one first."""
    above: tuple[int, ...]
    """What it is a kind of."""
    parts: tuple[int, ...]
    """What it has."""
    named: bool
    """Whether it is one of a kind with a name: a person, a place."""


@dataclass(frozen=True)
class Nouns:
    """The words and their meanings; words are lower case, with spaces."""

    senses: dict[int, Sense]
    """By offset in the file."""
    meanings: dict[str, tuple[int, ...]]
    """Offsets of a word's senses, the most frequent one first."""
    exceptions: dict[str, str] = field(default_factory=dict)
    """Irregular plurals and their singular."""

    def singular(self, phrase: str) -> str | None:
        """The phrase as a noun that is known, its last word singular; None where there is no such noun."""
        head, _, last = phrase.rpartition(" ")
        forms = [last, self.exceptions.get(last, last)]
        forms += [last[: -len(many)] + one for many, one in _ENDINGS if last.endswith(many)]
        forms += [last[:-1]] if last.endswith("s") and not last.endswith("ss") else []
        known = [form for form in (f"{head} {form}".strip() for form in forms) if form in self.meanings]
        # "glasses" is a word of its own, yet "cherries" only that of several.
        return known[0] if known else None

    def sense(self, word: str, depth: int = 1) -> int | None:
        """The first of a word's most frequent meanings that is a thing to be seen, of those without a name."""
        common = [offset for offset in self.meanings.get(word, ()) if not self.senses[offset].named]
        return next((offset for offset in common[:depth] if self.senses[offset].kind in THINGS), None)

    def things(self, word: str) -> tuple[int, ...]:
        """All meanings of a word that can be seen."""
        return tuple(offset for offset in self.meanings.get(word, ()) if self.senses[offset].kind in THINGS)

    def chain(self, offset: int) -> frozenset[int]:
        """Everything that a sense is a kind of, itself included."""
        reached, waiting = set[int](), [offset]
        while waiting:
            one = waiting.pop()
            if one not in reached:
                reached.add(one)
                waiting.extend(self.senses[one].above)
        return frozenset(reached)


def read_nouns(root: Path) -> Nouns:
    """Reads WordNet's noun files of an unpacked package. Raises SampleError where they are not there."""
    folder = root / _FOLDER
    try:
        data, index, exceptions = (
            (folder / name).read_text(encoding="utf-8") for name in ("data.noun", "index.noun", "noun.exc")
        )
    except OSError as error:
        raise SampleError(f"{folder}: WordNet's nouns can't be read ({error.strerror})") from None
    return Nouns(dict(_senses(data)), dict(_meanings(index)), dict(_exceptions(exceptions)))


def _lines(text: str) -> list[list[str]]:
    """The fields of each line; the licence at the top is indented."""
    return [line.split() for line in text.splitlines() if line and not line.startswith(" ")]


def _word(spelt: str) -> str:
    return spelt.replace("_", " ").lower()


def _senses(data: str) -> list[tuple[int, Sense]]:
    found = []
    for fields in _lines(data):
        count = int(fields[3], 16)
        pointers = fields[4 + 2 * count :]
        starts = range(1, 1 + 4 * int(pointers[0]), 4)
        above = tuple(int(pointers[start + 1]) for start in starts if pointers[start] in ("@", "@i"))
        parts = tuple(int(pointers[start + 1]) for start in starts if pointers[start] == "%p")
        named = any(pointers[start] == "@i" for start in starts)
        words = tuple(_word(fields[4 + 2 * number]) for number in range(count))
        found.append((int(fields[0]), Sense(int(fields[1]), words, above, parts, named)))
    return found


def _meanings(index: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(_word(fields[0]), tuple(int(offset) for offset in fields[-int(fields[2]) :])) for fields in _lines(index)]


def _exceptions(text: str) -> list[tuple[str, str]]:
    return [(_word(fields[0]), _word(fields[1])) for fields in _lines(text) if len(fields) > 1]
