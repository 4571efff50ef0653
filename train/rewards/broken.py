"""Captions whose language is broken on purpose: what a judge of naturalness is tried on."""

import random

from magicvl.train.rewards.words import content

BROKEN = ("shuffled", "repeated", "listed")


def broken(kind: str, caption: str) -> str:
    """A caption with its words shuffled, its first sentence three times, or its content words alone."""
    if kind == "shuffled":
        said = caption.split()
        random.Random(caption).shuffle(said)
        return " ".join(said)
    if kind == "repeated":
        return " ".join([f"{caption.split('. ', maxsplit=1)[0].rstrip('.')}."] * 3)
    return ", ".join(word.lemma for word in content(caption))
