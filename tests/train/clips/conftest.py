"""Clips that several tests look at."""

from functools import cache

import pytest

from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip


@cache
def _clips(style: str, count: int, split: str) -> tuple[Clip, ...]:
    return tuple(make_clip(3, index, split, style) for index in range(count))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def many() -> tuple[Clip, ...]:
    """Clips of shapes of all levels, and of both sides of the split."""
    return (
        *_clips("shapes/simple", 30, "train"),
        *_clips("shapes/mixed", 80, "train"),
        *_clips("shapes/mixed", 30, "test"),
        *_clips("shapes/rich", 40, "train"),
    )
