"""The words of a phrase, as they are compared: without endings, and without the words that only hold others together.

Lemmas are simplemma's (offline, a table of English forms); what words mean the same is told by meanings.toml.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from simplemma import lemmatize

from magicvl.train.rewards.contrast import meaning, pair_meaning, two_meanings

LITTLE = frozenset(
    "a an the this that these those some its his her their it he she they there here and or also too "
    "be am is are was were been being has have had do does did will would of as at".split()
)
"""Words that say nothing of their own about a subject or an action."""
SAME = {
    "color": "colour", "colored": "coloured", "gray": "grey", "center": "centre", "crosse": "cross",
    "following": "follow", "doesn": "not", "don": "not", "isn": "not", "never": "not",
}  # fmt: skip
"""Spellings, and lemmas that the table has otherwise than film captions mean them."""
LEAVING = frozenset("a an the this that its their scene frame picture screen view".split())
"""Behind `left` these make it the past of leave; anywhere else it is a side."""
_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class Word:
    """A word of a text."""

    text: str
    """As it stands there, in small letters."""
    lemma: str
    meaning: str
    """The first word of those that mean the same."""


@lru_cache(maxsize=100_000)
def words(text: str) -> tuple[Word, ...]:
    """All words of a text in order; a pair that has a meaning of its own (`picks up`) is one word."""
    said = _WORD.findall(text.lower())
    single = [word for each, after in zip(said, [*said[1:], ""], strict=False) for word in _words(each, after)]
    found: list[Word] = []
    for word in single:
        pair = pair_meaning(found[-1].lemma, word.text) if found else None
        if pair is None:
            found.append(word)
        else:
            verb = found.pop()
            found.append(Word(f"{verb.text} {word.text}", f"{verb.lemma} {word.text}", pair))
    return tuple(found)


@lru_cache(maxsize=100_000)
def content(text: str) -> tuple[Word, ...]:
    """The words that say something: without articles, forms of be and have, and the like."""
    return tuple(word for word in words(text) if word.text not in LITTLE)


def _words(text: str, after: str) -> Sequence[Word]:
    """A word; two for one that means two, of which the second stands behind it as if it were said."""
    word = _word(text, after)
    two = two_meanings(word.lemma)
    return (Word(text, word.lemma, two[0]), _word(two[1], after)) if two else (word,)


def _word(text: str, after: str) -> Word:
    if text == "left" and after in LEAVING:
        return Word(text, "leave", meaning("leave", "leave"))
    spelt = SAME.get(text, text)
    found = lemmatize(spelt, lang="en")
    lemma = SAME.get(found, found)
    return Word(text, lemma, meaning(text, lemma))
