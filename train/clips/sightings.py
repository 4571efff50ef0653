"""Where actors are seen in a film's frames."""

from collections.abc import Iterator, Sequence
from math import hypot

from magicvl.edge.video.track import Sighting
from magicvl.train.clips.film import Film
from magicvl.train.clips.looks import ShapeLook, WallLook
from magicvl.train.clips.motion import Pose
from magicvl.train.nano.scenes import COLOURS

_ALIKE = {"circle": 0, "ring": 0, "square": 90, "cross": 90, "star": 72, "triangle": 120, "diamond": 180}
"""Degrees after which a turned shape looks as before: 0 always, 360 what is not here."""
_TILTED = 10.0
"""Degrees from upright that are seen."""


def sightings(film: Film, number: int, times: Sequence[float]) -> tuple[Sighting, ...]:
    """An actor in each frame that shows its middle, with its colour then and whether it is tilted."""
    return tuple(_sightings(film, number, times))


def pose_in_frame(film: Film, number: int, seconds: float) -> Pose | None:
    """How an actor stands in the frame of a time: its middle in shares of the frame's sides, its size in px of it.

    None where it is not shown; others may stand before it, and its middle may lie outside.
    """
    pose, view = film.players[number].track.at(seconds), film.camera.at(seconds)
    x, y = (pose.x - view.x) * view.zoom / film.width + 0.5, (pose.y - view.y) * view.zoom / film.height + 0.5
    return Pose(x, y, pose.size * view.zoom, pose.turn, pose.colour) if pose.shown else None


def _sightings(film: Film, number: int, times: Sequence[float]) -> Iterator[Sighting]:
    for seconds in times:
        pose = pose_in_frame(film, number, seconds)
        if pose is None or not (0 <= pose.x < 1 and 0 <= pose.y < 1) or _covered(film, number, pose, seconds):
            continue
        size = min(0.95, 2 * pose.size / min(film.width, film.height))
        yield Sighting(seconds, pose.x, pose.y, size, _look(film, number, pose))


def _covered(film: Film, number: int, pose: Pose, seconds: float) -> bool:
    """Whether something before an actor hides its middle."""
    for other in film.depth[film.depth.index(number) + 1 :]:
        cover = pose_in_frame(film, other, seconds)
        if cover is not None:
            across, down = (cover.x - pose.x) * film.width, (cover.y - pose.y) * film.height
            look = film.players[other].look
            if isinstance(look, WallLook):
                if abs(across) < look.wide * cover.size and abs(down) < cover.size:
                    return True
            elif hypot(across, down) < cover.size / 2:
                return True
    return False


def _look(film: Film, number: int, pose: Pose) -> str:
    look = film.players[number].look
    if not isinstance(look, ShapeLook):
        return "tilted" if _off(pose.turn, 360) else ""
    colour = min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], pose.colour, strict=True)))
    return f"{colour} tilted" if _off(pose.turn, _ALIKE.get(look.kind, 360)) else colour


def _off(turn: float, alike: int) -> bool:
    return alike > 0 and _TILTED < turn % alike < alike - _TILTED
