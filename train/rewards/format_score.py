"""Whether a text keeps the form it was asked for: the first of the three rewards.

All or nothing: what `magicvl.edge.video.description.read` takes is worth 1, everything else 0. There is no part credit,
because a model that was fine-tuned on the form keeps it from the beginning, and because credit for parts of a form can
be had by parts of a form alone.

Source: arXiv 2506.01725, the format reward.
"""

from collections.abc import Sequence

from magicvl.edge.video.description import Description, read
from magicvl.errors import EngineError


def format_score(text: str, times: Sequence[float]) -> float:
    """1 for a whole description of frames of those times (seconds), else 0."""
    return float(read_or_none(text, times) is not None)


def read_or_none(text: str, times: Sequence[float]) -> Description | None:
    """What the text describes; None where it is no description, which no other reward is given for."""
    try:
        return read(text, times)
    except EngineError:
        return None
