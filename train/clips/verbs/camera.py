"""Panning and zooming, where the ground and at least two on it show that it is the camera that moves."""

import random
from dataclasses import replace

from magicvl.train.clips.motion import View
from magicvl.train.clips.stage import WAYS, Act, Stage
from magicvl.train.clips.verbs.choose import HEADINGS

_PAN = (0.2, 0.34)
"""How far it goes, as a share of the frame's side."""
_ZOOM = (1.3, 1.5)
_LENGTH = (1.2, 1.6)


def pan(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """The camera turns to a side; everyone stays in the picture."""
    heading = rng.choice(HEADINGS)
    if not _can_be_told(stage):
        return None
    x, y = WAYS[heading]
    share = rng.uniform(*_PAN) / stage.view.zoom
    view = replace(
        stage.view, x=stage.view.x + x * share * stage.width, y=stage.view.y + y * share * stage.height
    )  # fmt: skip
    return (_act("pan", f"pans {heading}", (), view),)


def zoom_in(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """The camera comes closer; everyone stays in the picture."""
    view = replace(stage.view, zoom=stage.view.zoom * rng.uniform(*_ZOOM))
    return (_act("zoom_in", "zooms in", ("comes closer",), view),) if _can_be_told(stage) else None


def zoom_out(rng: random.Random, stage: Stage) -> tuple[Act, ...] | None:
    """The camera goes back; everyone stays large enough to be known."""
    factor = rng.uniform(*_ZOOM)
    if not _can_be_told(stage) or min(pose.size for pose in stage.poses) / factor < stage.least:
        return None
    view = replace(stage.view, zoom=stage.view.zoom / factor)
    return (_act("zoom_out", "zooms out", ("goes back",), view),)


def _can_be_told(stage: Stage) -> bool:
    return len(stage.seen()) >= 2 and all(act.actor is not None for act in stage.done)


def _act(verb: str, action: str, said: tuple[str, ...], view: View) -> Act:
    return Act(verb, None, action, said, view=view, length=_LENGTH)
