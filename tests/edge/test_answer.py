"""Options refuse what has no effect."""

import pytest

from magicvl.edge.answer import Options
from magicvl.errors import UsageError


def test_defaults_are_greedy() -> None:
    assert Options() == Options(max_tokens=256, budget=None, temperature=0.0, top_p=None, seed=None)
    Options(temperature=0.7, top_p=1.0, seed=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "at least 1"),
        ({"budget": -1}, "at least 1"),
        ({"temperature": -0.1}, "0 or more"),
        ({"temperature": float("inf")}, "0 or more"),
        ({"top_p": 0.9}, "no effect at temperature 0"),
        ({"seed": 0}, "no effect at temperature 0"),
        ({"temperature": 1.0, "top_p": 1.1}, "at most 1"),
        ({"temperature": 1.0, "seed": -1}, "must be 0 to"),
    ],
)
def test_each_bad_option_is_named(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options(**options)
