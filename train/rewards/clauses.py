"""A caption cut into clauses, each of which can tell one event.

Sentences end at full stops; a sentence is cut again at semicolons, commas and words that begin another action: and,
then, while, as, before, after, which. `B after A` is told as A, B. What has no word of its own is dropped.
"""

import re

from magicvl.train.rewards.words import content

_SENTENCE = re.compile(r"(?<=[.!?;\n])\s+|[;\n]")
_JOINT = re.compile(
    r",?\s+\b(?:and then|and|then|while|as|before|when|until|but|where)\b\s+|\s*[,:]\s*(?:and\s+|then\s+)*|\s+-+\s+"
    r"|\s+(?=(?:which|who)\b)",
    re.IGNORECASE,
)
_AFTER = re.compile(r"^(?P<late>[^,]+?),?\s+after\s+(?P<early>.+)$", re.IGNORECASE)


def clauses(caption: str) -> list[str]:
    """The clauses in the order of what they tell."""
    return [part for sentence in sentences(caption) for part in _parts(sentence)]


def sentences(caption: str) -> list[str]:
    """The sentences of a text."""
    return [part.strip() for part in _SENTENCE.split(caption) if part.strip()]


def _parts(sentence: str) -> list[str]:
    turned = _AFTER.match(sentence)
    whole = f"{turned['early'].rstrip('.')}, {turned['late']}" if turned else sentence
    return [part.strip(" .!?") for part in _JOINT.split(whole) if content(part)]
