"""Digits of tracks that are read otherwise than they are, so that a model must look, and bear with its own mistakes.

A model is taught with the true description before it, and goes on from its own. Where digits can be copied from entry
to entry it copies them; where true ones stand still it takes every tremble of its own for a motion. So some films are
read with wrong digits, and nothing but the true ones is learned there; in others some digits are one off, and
everything is learned as from true ones.
"""

import random
from collections.abc import Sequence
from typing import Any

import torch

from magicvl.train.video.entries import DIGITS, Pointed
from magicvl.train.video.films import Film
from magicvl.train.video.settings import CaptionRun


def misread(batch: dict[str, Any], films: Sequence[Film], run: CaptionRun, digits: Sequence[int]) -> None:
    """Gives the run's share of a batch's seen films wrong digits to read, and no labels that count but the true ones;
    all others read some digits one off, and keep their labels.

    `digits` are the tokens of 0 to 9. A film is misread alike whenever it comes.
    """
    for row, film in enumerate(films):
        rng = random.Random(f"{run.seed} misled {film.number}")
        misled = rng.random() < run.tracks.misled and film.reading is None
        if not film.pointed or not (misled or run.tracks.jitter):
            continue
        places = [len(film.prompt) + entry.marks + which for entry in film.pointed for which in range(DIGITS)]
        read = wrong_digits(film.pointed, rng) if misled else unsteady_digits(film.pointed, run.tracks.jitter, rng)
        batch["input_ids"][row, places] = torch.tensor([digits[digit] for entry in read for digit in entry])
        if misled:
            batch["label_weights"][row] = 0.0
            batch["label_weights"][row, places] = run.tracks.news


def wrong_digits(entries: Sequence[Pointed], rng: random.Random) -> list[list[int]]:
    """What entries are read with in place of their three digits, so that copying gives none of them.

    Of columns, rows and sizes each, either all are moved by as much (around the end), so that a track is as steady as a
    true one, or each is drawn anew.
    """
    ways = [(rng.random() < 0.5, rng.randrange(1, 10)) for _ in range(DIGITS)]
    return [
        [
            (digit + (by if together else rng.randrange(10))) % 10
            for digit, (together, by) in zip(entry.digits, ways, strict=True)
        ]
        for entry in entries
    ]


def unsteady_digits(entries: Sequence[Pointed], share: float, rng: random.Random) -> list[list[int]]:
    """The three digits of entries, `share` of them one off: those that a model writes itself are no steadier."""
    return [[_nearby(digit, rng) if rng.random() < share else digit for digit in entry.digits] for entry in entries]


def _nearby(digit: int, rng: random.Random) -> int:
    """One less or one more, within 0..9."""
    return rng.choice([each for each in (digit - 1, digit + 1) if 0 <= each <= 9])
