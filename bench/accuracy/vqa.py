"""VQA accuracy: how many of ten annotators said the same, after their answers and the model's are made alike.

Antol et al. 2015 (arXiv 1505.00468) and the evaluation published with it, which TextVQA (arXiv 1904.08920) uses.
"""

import re
from collections.abc import Sequence

AGREEING = 3
"""Annotators who make an answer fully right."""

_NUMBERS = dict(zip("zero one two three four five six seven eight nine ten".split(), map(str, range(11)), strict=True))
_NUMBERS["none"] = "0"
_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NOT = "ai are ca could did do does had has have is might must need ought sha should was were wo would"
_HAVE = "could couldn't hadn't i might mightn't must mustn't should they we what who would wouldn't you"
_ENDINGS = (
    ("n't", _NOT),
    ("'ve", _HAVE),
    ("'d", "he how it she somebody someone something that there they where who you"),
    ("'ll", "how it somebody something that they what who you y'all"),
    ("'re", "there they what who why you"),
    ("'s", "he how somebody that there what when where who why"),
    ("'m", "i"),
)
_CONTRACTIONS = frozenset(
    (stem + ending).replace("'", "") for ending, stems in _ENDINGS for stem in stems.split()
) | frozenset({"lets", "maam", "oclock", "twas", "yall"})
"""Contractions without their apostrophes, those of which no other word is made (were and ill stay as they are)."""


def vqa_accuracy(answer: str, truths: Sequence[str]) -> float:
    """min(n / 3, 1) for the n annotators who agree, averaged over leaving each annotator out.

    With a single truth there is nobody to agree with: equal is 1.
    """
    said, right = vqa_text(answer), [vqa_text(each) for each in truths]
    if len(right) == 1:
        return float(said == right[0])
    agreeing = right.count(said)
    return sum(min(1.0, (agreeing - (each == said)) / AGREEING) for each in right) / len(right)


def vqa_text(text: str) -> str:
    """An answer as it is compared: lower case, numbers to ten in digits, no articles, punctuation as the rule has it.

    A sign is dropped where the text has it beside a space, or has digits around a comma, and becomes a space
    elsewhere; a full stop goes unless a digit follows. Contractions are equal with and without their apostrophe: the
    published table puts it in, here it is left out on both sides.
    """
    flat = text.replace("\n", " ").replace("\t", " ").strip()
    words = [_NUMBERS.get(word, word) for word in _unpunctuated(flat).lower().split()]
    return " ".join(_plain(word) for word in words if word not in _ARTICLES)


def _unpunctuated(text: str) -> str:
    cleaned, commas = text, re.search(r"\d,\d", text)
    for sign in _PUNCTUATION:
        dropped = commas or f"{sign} " in text or f" {sign}" in text
        cleaned = cleaned.replace(sign, "" if dropped else " ")
    return re.sub(r"\.(?!\d)", "", cleaned)


def _plain(word: str) -> str:
    bare = word.replace("'", "")
    return bare if bare in _CONTRACTIONS else word
