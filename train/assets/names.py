"""From captions, titles and file names to common nouns."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from magicvl.train.assets.nouns import BODY, PERSON, Nouns

_WORDS = tomllib.loads((Path(__file__).parent / "names.toml").read_text(encoding="utf-8"))
_NEVER = frozenset(_WORDS["generic"]) | frozenset(_WORDS["unseen"])
_KNOWN = frozenset(_WORDS["known"])
_USUAL: dict[str, str] = _WORDS["usual"]
PLURAL = frozenset(_WORDS["plural"])
"""What is always several."""
MASS = frozenset(_WORDS["mass"])
"""What has no number."""
_CUT = re.compile(r"[.!?;:,(\u2014\u2013|/]| - ")
_TAIL = re.compile(
    r"\b(with|in|on|at|for|from|by|to|that|which|inside|covered|worn|is|are|was|when|playing|dancing|resembles|against"
    r"|and|or|without|under|over|near|showing|wearing|holding|eating|made|as|while|used|called|like|of)\b"
)
_MEASURE = re.compile(r"^(a|an|some)? ?(pair|bunch|cluster|string|couple|plant|head|loaf|quarter|piece) of ")
_START = re.compile(
    r"^(a|an|the|some|two|three|four|our|another|my|this|old|it's|big|large|small|little|very|no|eat your|say) "
)


@dataclass(frozen=True)
class Named:
    """A noun that was found, and its meaning."""

    noun: str
    sense: int | None
    """Offset in WordNet; None where it is not there."""


def phrase_of(text: str) -> str:
    """What a caption, a title or a file's name calls the thing: lower case words, the last one its noun."""
    text = text.lower().replace("_", " ").replace("\u2019", "'")
    text = re.sub(r"[\u201c\u201d\"#*]|'(?=\s|$)|(?<=\s)'", "", text)
    text = _CUT.split(re.sub(r"\s+", " ", text).strip() + " ")[0].strip()
    text = _MEASURE.sub("", text)
    while (shorter := _START.sub("", text)) != text:
        text = shorter
    text = _TAIL.split(text)[0]
    text = re.sub(r"\d+\w?$|\b\d+\b|\b[a-z]\b(?! shirt)", " ", text)
    return re.sub(r"\s+", " ", text.replace("-", " ")).strip()


def find_name(nouns: Nouns, text: str, depth: int = 1) -> Named | None:
    """The most words at the end of a phrase that are a noun of things to be seen; None where there is none.

    `depth` is how many of a word's meanings are looked at for such a one.
    """
    words = phrase_of(text).split()
    for start in range(len(words)):
        phrase = " ".join(words[start:])
        usual = _USUAL.get(phrase, phrase)
        if len(words) - start > 3:
            continue
        if found := _known(nouns, usual, depth):
            return found
    return None


def _known(nouns: Nouns, phrase: str, depth: int) -> Named | None:
    hyphened = phrase.replace(" ", "-")
    for spelt in (phrase, hyphened):
        noun = nouns.singular(spelt)
        noun = _USUAL.get(noun, noun) if noun else (spelt if spelt in _KNOWN else None)
        if noun is None or noun in _NEVER or len(noun) < 3:
            continue
        sense = nouns.sense(noun, depth)
        if sense is not None or noun in _KNOWN:
            return Named(noun, sense)
    return None


def group_of(nouns: Nouns, named: Named) -> str:
    """animal, food, plant, person, body, clothing, nature or artifact."""
    if named.sense is None:
        return "artifact"
    above = {word for offset in nouns.chain(named.sense) for word in nouns.senses[offset].words[:2]}
    for word, group in (("clothing", "clothing"), ("headdress", "clothing"), ("footwear", "clothing")):
        if word in above:
            return group
    if "fruit" in above and "food" not in above and "edible fruit" not in above:
        return "plant"
    return _GROUPS.get(nouns.senses[named.sense].kind, "artifact")


_GROUPS = {5: "animal", BODY: "body", 13: "food", 17: "nature", PERSON: "person", 19: "nature", 20: "plant"}
