"""What an answer in words chooses: a letter of several, or yes or no. By rules, without asking another model."""

import re
from collections.abc import Mapping

_SIGNS = re.compile(r"[.()\[\],:;!*#{}]")
_ARTICLE_WORDS = 3
"""In an answer of more words A is taken for the article."""


def chosen_letter(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter that an answer chooses, None where it chooses none or several.

    As VLMEvalKit matches without a judge: signs set aside, exactly one of the letters stands as a word (A in a longer
    sentence is an article); else exactly one option's text is in the answer, which is at most twice as long as all
    options together.
    """
    words = _SIGNS.sub(" ", answer).split()
    letters = [letter for letter in options if letter in words]
    if letters == ["A"] and len(words) > _ARTICLE_WORDS:
        letters = []
    if len(letters) == 1:
        return letters[0]
    if letters or len(answer) > 2 * sum(map(len, options.values())):
        return None
    said = answer.lower()
    named = [letter for letter, text in options.items() if text.lower() in said]
    return named[0] if len(named) == 1 else None


def yes_or_no(answer: str) -> str | None:
    """`yes` or `no` where exactly one of the two stands in the answer as a word, else None."""
    words = set(re.findall(r"[a-z]+", answer.lower())) & {"yes", "no"}
    return words.pop() if len(words) == 1 else None
