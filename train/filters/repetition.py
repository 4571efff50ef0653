"""Texts that go round in circles. Pure functions.

The share of repeated n-grams is that of MassiveText's filters (arXiv 2112.11446, table A1), of one length.
"""

import re

from magicvl.train.filters.thresholds import Thresholds

LONGEST_LOOP = 8
"""Words of a part that is looked for right behind itself."""
MOST_WORDS = 20_000
"""Of an answer that are looked at."""

_RUN = re.compile(r"([^\s\-_=.*#~+|─━·…])\1+")


def repetition(answer: str, line: Thresholds) -> str | None:
    """How an answer repeats itself; None where it does not."""
    run = max((found[0] for found in _RUN.finditer(answer)), key=len, default="")
    if len(run) > line.most_run:
        return f"{run[0]!r} {len(run)} times in a row"
    words = answer.lower().split()[:MOST_WORDS]
    loops, part = longest_loop(words)
    if loops > line.most_loops:
        return f"{' '.join(part)[:60]!r} {loops} times in a row"
    if len(words) >= line.repeated_from:
        share = repeated_share(words, line.repeated_words)
        if share > line.most_repeated:
            return f"{share:.0%} of its {line.repeated_words} words together are there twice"
    return None


def repeated_share(words: list[str], count: int) -> float:
    """Share of the n-grams of `count` words that stand in the text before already; 0 where there are none."""
    grams = [tuple(words[begin : begin + count]) for begin in range(len(words) - count + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def longest_loop(words: list[str]) -> tuple[int, list[str]]:
    """How often, at most, a part of one to eight words stands in a row, and the part; 1 and nothing for no words."""
    best: tuple[int, list[str]] = (1, [])
    for length in range(1, LONGEST_LOOP + 1):
        same = 0
        for place in range(length, len(words)):
            same = same + 1 if words[place] == words[place - length] else 0
            if 1 + same // length > best[0]:
                best = 1 + same // length, words[place - length + 1 : place + 1]
    return best
