"""Dense supervision of films: what every actor does in every frame, known because we drew it.

A description has six words about motion among two hundred; here the visual token in which an actor's middle lies
says what it is doing there and how it changed since the frame before. It is read off the decoder's middle, so that the
layers above find it at the token. The head is used in training only and is no part of an adapter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from magicvl.edge.plan import Plan
from magicvl.train.clips.clip import Clip, Happening
from magicvl.train.clips.motion import Pose
from magicvl.train.clips.sightings import pose_in_frame
from magicvl.train.video.visual_ids import visual_token

VERBS = (
    "stands", "moves", "enters", "leaves", "turns", "jumps", "spins", "grows", "shrinks", "follows", "meets", "hides",
    "comes",
)  # fmt: skip
"""First words of actions, and that there is none."""
_SCALES = (8.0, 8.0, 4.0)
"""Of the changes below: so that they are about one large from frame to frame."""


@dataclass(frozen=True)
class Motion:
    """An actor in a frame."""

    token: int
    """Which of the film's visual tokens its middle lies in."""
    verb: int
    """What it does at that moment, a number of VERBS."""
    changes: tuple[float, float, float]
    """Since the frame before: right and down in shares of the frame's sides, and the logarithm of its size's ratio; 0
    where it was not there."""


@dataclass(frozen=True)
class MotionTargets:
    """The motions of `n` actors in frames, of a whole batch."""

    places: torch.Tensor
    """(n,): where in the batch the visual token is."""
    verbs: torch.Tensor
    """(n,)"""
    changes: torch.Tensor
    """(n, 3)"""


def as_targets(each: Sequence[tuple[int, Motion]]) -> MotionTargets:
    """Motions with the places where their visual tokens are in a batch."""
    return MotionTargets(
        torch.tensor([place for place, _ in each], dtype=torch.long),
        torch.tensor([motion.verb for _, motion in each], dtype=torch.long),
        torch.tensor([motion.changes for _, motion in each]).reshape(-1, 3),
    )


def motions(clip: Clip, times: Sequence[float], one: Plan) -> tuple[Motion, ...]:
    """Every actor in every frame that shows its middle; all frames have the plan `one`."""
    found: list[Motion] = []
    for number in range(len(clip.subjects)):
        doing = _doing(clip, number, times)
        before: Pose | None = None
        for frame, seconds in enumerate(times):
            now = pose_in_frame(clip.film, number, seconds)
            if now is not None and (token := visual_token(one, now.x, now.y)) is not None:
                found.append(Motion(frame * one.tokens + token, doing[frame], _changes(before or now, now)))
            before = now
    return tuple(found)


class MotionHead(nn.Module):
    """Reads motions off the decoder's states, (n, width), by one linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, len(VERBS) + 3)

    def forward(self, states: torch.Tensor, targets: MotionTargets) -> dict[str, torch.Tensor]:
        """`motions`: mean cross-entropy of verbs in nats, and the mean squared error of scaled changes.

        `states` are (all, width), of which `targets.places` are read.
        """
        verbs, changes = targets.verbs.to(states.device), targets.changes.to(states.device)
        read = self.linear(self.norm(states[targets.places.to(states.device)]))
        said, changed = read.split((len(VERBS), 3), dim=-1)
        # Nobody may be seen at all: the mean of nothing would be no number.
        count = max(1, len(verbs))
        wrong = F.mse_loss(changed, changes * changes.new_tensor(_SCALES), reduction="sum") / (3 * count)
        return {"motions": F.cross_entropy(said, verbs, reduction="sum") / count + wrong}


def _doing(clip: Clip, number: int, times: Sequence[float]) -> list[int]:
    """What an actor does in each frame; an event between two frames is seen in the nearest, as descriptions have it."""
    doing = [0] * len(times)
    for event in clip.events:
        said = _said(event, number)
        if said is not None:
            for seconds in event.seen(times):
                doing[times.index(seconds)] = VERBS.index(said.split()[0])
    return doing


def _said(event: Happening, number: int) -> str | None:
    if event.subject == number:
        return event.action
    return event.returned if event.other == number else None


def _changes(before: Pose, now: Pose) -> tuple[float, float, float]:
    return now.x - before.x, now.y - before.y, math.log(now.size / before.size)
