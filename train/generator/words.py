"""The words that are printed: English ones of the package wonderwords (MIT), and made-up ones.

Each content word belongs to one side of the split, by its hash; the small words of grammar belong to all.
"""

import random
import re
import zlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Literal

from magicvl.errors import UsageError
from magicvl.train.generator.dataset import Split

Kind = Literal["noun", "verb", "adjective"]
_PLAIN = re.compile(r"[a-z]{2,13}")
_ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sk sl sp st t th tr v w z".split()
_VOWELS = "a e i o u a e i o ai ea ee oa oo ou".split()
_CODAS = "b ck d ft g l ld lt m mp n nd ng nk nt p r rd rk rm rn rt s sh sk st t th x".split() + [""] * 12


def side(text: str) -> Split:
    """The side of the split that a word, name or product belongs to: 80 % train, 5 % validation, 15 % test."""
    bucket = zlib.crc32(text.lower().encode()) % 20
    return "train" if bucket < 16 else "validation" if bucket == 16 else "test"


def belongs(text: str, split: Split) -> bool:
    """Whether a word may be printed on that side; `style` takes its words from the test's."""
    return side(text) == ("test" if split == "style" else split)


def those_of(words: Iterable[str], split: Split) -> tuple[str, ...]:
    """The words of one side, each once, in their order."""
    return tuple(dict.fromkeys(word for word in words if belongs(word, split)))


@cache
def vocabulary(split: Split, kind: Kind) -> tuple[str, ...]:
    """The English words of a kind, lower case, 2 to 13 letters. Raises UsageError where the package is missing."""
    return those_of((word for word in _list(kind) if _PLAIN.fullmatch(word) and word not in _rude()), split)


@cache
def _rude() -> frozenset[str]:
    return frozenset(_list("profanity"))


@cache
def _list(name: str) -> tuple[str, ...]:
    try:
        listed = files("wonderwords.assets") / f"{name}list.txt"
    except ModuleNotFoundError as error:
        raise UsageError("words: the package wonderwords is missing; install magicvl[train]") from error
    return tuple(listed.read_text(encoding="utf-8").split())


def word(rng: random.Random, split: Split, kind: Kind | None = None) -> str:
    """One English word; of any kind where none is asked for, nouns most often."""
    return rng.choice(vocabulary(split, kind or rng.choice(("noun", "noun", "verb", "adjective"))))


def made_up(rng: random.Random, split: Split) -> str:
    """A word that can be spoken and means nothing, of one to three syllables and at least three letters."""
    while True:
        syllables = rng.choice((1, 2, 2, 3))
        made = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)
        if len(made) > 2 and belongs(made, split) and made not in _rude():
            return made


def several(rng: random.Random, split: Split, count: int, kind: Kind | None = "noun") -> tuple[str, ...]:
    """As many words, all different."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word(rng, split, kind)] = None
    return tuple(found)


_SENTENCES = (
    "The {a} {n} will {v} the {m}.",
    "A {a} {n} is in the {m}.",
    "We found a {n} and a {m} near the {k}.",
    "They can {v} every {n} here.",
    "Please {v} the {n} before noon.",
    "Nobody can {v} a {a} {n}.",
    "Is the {n} as {a} as the {m}?",
    "This {n} has a very {a} {m}.",
    "You must not {v} the {n}!",
    "My {n} and your {m} are {a}.",
    "She saw {d} {a} birds by the {n}.",
    "It took {d} days to {v} the {n}.",
    "Under the {n} there was a {a} {m}.",
    "Each {n} needs a {m}, not a {k}.",
)


def sentence(rng: random.Random, split: Split) -> str:
    """A short English sentence; its content words are of that side."""
    noun, other, third = several(rng, split, 3)
    return with_articles(rng.choice(_SENTENCES).format(
        a=word(rng, split, "adjective"), v=word(rng, split, "verb"), n=noun, m=other, k=third, d=rng.randint(2, 99)
    ))  # fmt: skip


def with_articles(text: str) -> str:
    """The text with `an` for `a` before a vowel; by letters, as words have no sounds here."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def cased(rng: random.Random, text: str) -> str:
    """The text in lower case, with a capital, or in capitals."""
    return rng.choice((text, text, text.title(), text.title(), text.upper()))
