"""What a text is made of: characters that do not belong, and their shares. Pure functions."""

import re
import unicodedata
from functools import cache

from magicvl.train.filters.thresholds import Thresholds

ALPHABETS = frozenset(
    {
        "LATIN",
        "GREEK",
        "CYRILLIC",
        "ARMENIAN",
        "GEORGIAN",
        "HEBREW",
        "ARABIC",
        "DEVANAGARI",
        "THAI",
        "CHEROKEE",
        "COPTIC",
    }
)
"""Scripts of which two in a word are odd. Chinese, Japanese and Korean ones stand beside each other and Latin."""
FEWEST_LETTERS = 3
"""Of a word that may be mixed: a Greek letter beside a Latin one is a unit or a variable."""

_ODD = frozenset({"Cc", "Co", "Cn", "Cs"})
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE = re.compile(r"([^\w\s])\1+")
_WORD = re.compile(r"[^\W\d_]+")


def odd_characters(text: str, line: Thresholds) -> str | None:
    """What is wrong with a text's characters; None where nothing is."""
    control = sum(map(_is_odd, text))
    if control > line.most_control:
        first = next(character for character in text if _is_odd(character))
        return f"{control} control or private characters (U+{ord(first):04X})"
    if (count := text.count("\ufffd")) > line.most_replacement:
        return f"{count} replacement characters"
    if (share := mixed_share(text)) > line.most_mixed_words:
        return f"{share:.0%} of its words are of two alphabets"
    if len(text) >= line.symbols_from and (share := symbol_share(text)) > line.most_symbols:
        return f"{share:.0%} symbols"
    return None


def anomalous_keyword(text: str, line: Thresholds) -> str | None:
    """The first text in it that came along by accident."""
    found = _any_of(line.keywords).search(text)
    return None if found is None else f"{found[0]!r}"


def refusal(answer: str, line: Thresholds) -> str | None:
    """How an answer refuses."""
    found = _any_of(line.refusals).search(answer[:120])
    return None if found is None else f"{found[0]!r}"


def symbol_share(text: str) -> float:
    """Share of characters that are neither letters, marks nor digits; white space counts as neither, a line as one."""
    shown = [character for character in _LINE.sub(r"\1", text) if not character.isspace()]
    return sum(unicodedata.category(character)[0] not in "LMN" for character in shown) / max(1, len(shown))


def mixed_share(text: str) -> float:
    """Share of a text's words that mix alphabets; 0 without words."""
    words = [word for word in _WORD.findall(text) if len(word) >= FEWEST_LETTERS]
    if not words or text.isascii():
        return 0.0
    return sum(len({_script(letter) for letter in word} & ALPHABETS) > 1 for word in words) / len(words)


def _is_odd(character: str) -> bool:
    if character in "\t\n\r" or (character.isascii() and character.isprintable()):
        return False
    return character in _DIRECTION or unicodedata.category(character) in _ODD


@cache
def _script(letter: str) -> str:
    """The first word of a letter's name, which is its script's."""
    return unicodedata.name(letter, "").partition(" ")[0]


@cache
def _any_of(expressions: tuple[str, ...]) -> re.Pattern[str]:
    # An expression that matches nothing, where there are none.
    return re.compile("|".join(f"(?:{each})" for each in expressions) or r"(?!)", re.IGNORECASE | re.DOTALL)
