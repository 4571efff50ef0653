"""What an answer in words chooses."""

import pytest

from magicvl.bench.accuracy.choices import chosen_letter, yes_or_no

OPTIONS = {"A": "a red ball", "B": "Cat", "C": "two dogs", "D": "cat food"}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B. Cat", "B"),
        ("Answer: C", "C"),
        ("The answer is **D**", "D"),
        ("A", "A"),
        # In four words A is an article, and then its text decides.
        ("A. a red ball", "A"),
        ("A cat sits on a mat", "B"),
        ("two dogs", "C"),
        ("It is TWO DOGS!", "C"),
        # Both Cat and cat food are in it.
        ("cat food", None),
        ("B or C", None),
        ("none of them", None),
        ("", None),
        ("two dogs " * 20, None),
    ],
)
def test_letters(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, OPTIONS) == letter


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("Yes, it is", "yes"),
        ("No, there is not", "no"),
        ("yes and no", None),
        ("There is none", None),
        ("", None),
    ],
)
def test_yes_or_no(answer: str, said: str | None) -> None:
    assert yes_or_no(answer) == said
