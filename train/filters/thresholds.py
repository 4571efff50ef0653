"""Where every rule draws its line, in one place; a TOML file can move them."""

import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from magicvl.errors import UsageError

KEYWORDS = (
    r"lorem ipsum",
    r"\[object object\]",
    r"<\|?(?:endoftext|im_start|im_end|unk|pad|eos|bos)\|?>",
    r"</?(?:div|span|script|iframe|td|href)\b",
    r"&(?:nbsp|amp|quot|lt|gt|#\d{2,5});",
    r"\\u[0-9a-f]{4}",
    r"\b404 not found\b",
    r"enable javascript",
    r"subscribe to (?:our|the) (?:newsletter|channel)",
    r"click here to (?:subscribe|download|buy|continue)",
    r"shutterstock|gettyimages|istockphoto|dreamstime",
    r"Ã[\u0080-\u00bf©¤¶¼]|â€[\u0080-\u00bf™œ\u009d]",
)
"""Expressions of texts that came along by accident: markup, another model's special tokens, a page's furniture, UTF-8
that was read as Latin-1."""
REFUSALS = (
    r"as an? (?:ai|artificial intelligence|large language)\b",
    r"i(?:'| a)m (?:sorry|afraid)\b.{0,40}\b(?:can(?:no|['\u2019])?t|unable|not able|don't have)",
    r"i(?: am|'m) (?:unable|not able) to\b",
    r"i can(?:no|['\u2019])?t (?:see|view|assist|help|provide|access|answer)\b",
    r"(?:there is|i see) no (?:image|picture) (?:provided|attached)",
)
"""Expressions that an answer which refuses begins with, within its first 120 characters."""


@dataclass(frozen=True)
class Thresholds:
    """What lets a sample stay. A rule is off where its line cannot be crossed: 0 of `fewest`, 1.0 of a share."""

    # Odd characters, in prompts and answers.
    most_control: int = 0
    """Control, private-use and unassigned characters, and marks of writing direction; tabs and line ends are none."""
    most_replacement: int = 0
    """U+FFFD, which stands where a decoder failed."""
    most_mixed_words: float = 0.05
    """Share of words whose letters are from two alphabets (Latin, Greek, Cyrillic, ...), of words of 3 or more."""
    most_symbols: float = 0.5
    """Share of characters that are neither letters, digits nor white space ..."""
    symbols_from: int = 24
    """... in texts of so many characters: "-", "$5" and "[1, 2]" are answers."""
    keywords: tuple[str, ...] = KEYWORDS
    """Regular expressions, whatever the case; what matches one goes."""

    # Length and content.
    most_prompt: int = 16_000
    """Characters of a prompt."""
    most_answer: int = 8_000
    """Characters of an answer."""
    fewest_answer: int = 1
    """Characters of an answer, white space left out."""
    most_turns: int = 64
    refusals: tuple[str, ...] = REFUSALS
    """Regular expressions, whatever the case, that stand in the first 120 characters of an answer that refuses."""

    # Pictures.
    fewest_side: int = 16
    """Px of a picture's shorter side."""
    most_aspect: float = 30.0
    """Longer side over shorter side; a long screenshot has up to 20."""
    fewest_contrast: float = 1.0
    """Spread of the grey values (standard deviation of 0 to 255): less is a blank."""

    # Repetition inside an answer.
    most_run: int = 24
    """The same character in a row, unless it is white space or one that lines are drawn with."""
    most_loops: int = 5
    """The same one to eight words immediately again."""
    repeated_words: int = 4
    """Words of the n-grams that are counted ..."""
    most_repeated: float = 0.5
    """... and the share of them that are there already ..."""
    repeated_from: int = 40
    """... in answers of so many words."""

    # Near-duplicates: of the same pictures and the same words as an earlier sample that stays.
    long_text: int = 20
    """Words from which two texts are compared by their pieces; shorter ones are the same where their words are."""
    shingle: int = 5
    """Characters of the pieces."""
    permutations: int = 64
    """Hashes of a text's MinHash: the share that it estimates has a standard deviation of up to 0.5 / sqrt of this."""
    same_text: float = 0.85
    """Estimated share of pieces in common (Jaccard) from which two long texts are the same."""
    same_picture: int = 12
    """How many of the 512 bits of two pictures' hashes may differ."""
    most_per_picture: int = 64
    """Samples about the same picture; different questions about one are no duplicates."""
    most_same_answer: int = 8
    """Samples with the same long answer, whatever their pictures."""

    # The model that is asked.
    judge_agreement: float = 0.8
    """Share of planted pairs that a judge must tell apart, each side counted half; less is no judge."""

    def __post_init__(self) -> None:
        if not 0 <= self.same_picture <= 128:
            raise UsageError(f"same_picture = {self.same_picture}: it must be 0 to 128 bits")
        if not 0 < self.same_text <= 1:
            raise UsageError(f"same_text = {self.same_text}: it must be above 0, and 1 at most")
        if not 16 <= self.permutations <= 1024:
            raise UsageError(f"permutations = {self.permutations}: it must be 16 to 1024")
        for name in ("shingle", "repeated_words"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: it must be at least 1")
        for expression in (*self.keywords, *self.refusals):
            _check_expression(expression)


def read_thresholds(path: Path) -> Thresholds:
    """The thresholds of a TOML file; what it does not name stays. Raises UsageError that names all that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: it can't be read as TOML ({reason})") from None
    known = {field.name: getattr(Thresholds, field.name) for field in fields(Thresholds)}
    wrong = [name for name in data if name not in known]
    if wrong:
        raise UsageError(f"{path}: {', '.join(wrong)}: no thresholds; there are {', '.join(known)}")
    values = {name: _value(path, name, value, known[name]) for name, value in data.items()}
    try:
        return replace(Thresholds(), **values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _value(path: Path, name: str, value: object, usual: object) -> Any:
    """A value of the field's type. Raises UsageError."""
    if isinstance(usual, tuple):
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise UsageError(f"{path}: {name} = {value!r}; a list of regular expressions is due")
    if isinstance(value, bool) or not isinstance(value, (int, float) if isinstance(usual, float) else int):
        raise UsageError(f"{path}: {name} = {value!r}; a {type(usual).__name__} is due")
    if value < 0:
        raise UsageError(f"{path}: {name} = {value!r}; it must be at least 0")
    return float(value) if isinstance(usual, float) else value


def _check_expression(expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise UsageError(f"{expression!r} is no regular expression ({error})") from None
