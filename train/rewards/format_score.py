"""Whether a text keeps the form it was asked for: the first of the three rewards.

All or nothing: what `magicvl.edge.video.description.read` takes is worth 1, everything else 0. There is no part credit,
because a model that was fine-tuned on the form keeps it from the beginning, and because credit for parts of a form can
be had by parts of a form alone.

Times are no part of that form. Where captions are made (magicvl.edge.video.caption) a grammar keeps them, so what is
read here takes a time that no frame has for the nearest frame's; `times_score` tells whether that was needed.

Source: arXiv 2506.01725, the format reward.
"""

import json
from collections.abc import Sequence
from typing import Any

from magicvl.edge.video.description import Description, read, time_text
from magicvl.errors import EngineError


def format_score(text: str, times: Sequence[float], *, tracks: bool = False) -> float:
    """1 for a whole description of frames, whatever their times (seconds) in it, else 0."""
    return float(read_or_none(text, times, tracks=tracks) is not None)


def times_score(text: str, times: Sequence[float], *, tracks: bool = False) -> float:
    """1 for a whole description that names the frames' own times (seconds) alone, else 0."""
    return float(_read(text, times, tracks) is not None)


def read_or_none(text: str, times: Sequence[float], *, tracks: bool = False) -> Description | None:
    """What the text describes, whatever its times; None for no description, which no reward is given for."""
    if (found := _read(text, times, tracks)) is not None:
        return found
    try:
        return _read(json.dumps(_moved(json.loads(text), times)), times, tracks)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _read(text: str, times: Sequence[float], tracks: bool) -> Description | None:
    try:
        return read(text, times, tracks=tracks)
    except EngineError:
        return None


def _moved(found: Any, times: Sequence[float]) -> Any:
    """The same object with each action from one frame's time to another's."""
    shown = [float(time_text(each)) for each in times]
    for subject in found["subjects"]:
        for action in subject["actions"]:
            begin, end = (min(shown, key=lambda time: abs(time - action[key])) for key in ("from", "to"))
            action |= {"from": min(begin, end), "to": max(begin, end)}
    return found
