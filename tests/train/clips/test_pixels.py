"""What the truth says is what the frames show: actors are found by colour, not by where they should be."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from magicvl.train.clips.clip import Clip, Happening
from magicvl.train.nano.scenes import COLOURS

Mask = npt.NDArray[np.bool_]
AFTER = 0.04
"""Seconds after an event at which its end is looked at."""


@dataclass
class Found:
    """An actor in a frame."""

    mask: Mask

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def middle(self) -> tuple[float, float]:
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean()), float(rows.mean())

    @property
    def box(self) -> tuple[int, int, int, int]:
        rows, columns = np.nonzero(self.mask)
        return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@lru_cache(maxsize=64)
def pixels(clip: Clip, seconds: float) -> npt.NDArray[np.int16]:
    return np.asarray(clip.picture(seconds)).astype(np.int16)


def look(clip: Clip, number: int, seconds: float) -> Found | None:
    """The pixels of an actor's paint; None where others have nearly the same or it is painted anew."""
    paints = [np.array(player.track.at(seconds).colour, np.int16) for player in clip.film.players]
    others = [paint for each, paint in enumerate(paints) if each != number]
    if any(np.abs(paint - paints[number]).max() < 45 for paint in others):
        return None
    frame = pixels(clip, seconds)
    near = (np.abs(frame[..., channel] - paints[number][channel]) < 12 for channel in range(3))
    return Found(np.logical_and.reduce(list(near)))


def ends(clip: Clip, number: int, event: Happening) -> tuple[Found, Found] | None:
    begin, end = look(clip, number, event.begin - AFTER), look(clip, number, event.end + AFTER)
    return (begin, end) if begin is not None and end is not None else None


def moved(clip: Clip, number: int, event: Happening) -> tuple[float, float] | None:
    both = ends(clip, number, event)
    if both is None:
        return None
    (x, y), (u, v) = both[0].middle, both[1].middle
    return u - x, v - y


WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def moves(clip: Clip, event: Happening) -> bool | None:
    way = moved(clip, event.subject or 0, event)
    if way is None:
        return None
    x, y = WAYS[event.action.split()[1]]
    along, aside = way[0] * x + way[1] * y, abs(way[0] * y) + abs(way[1] * x)
    return along > 24 and aside < 4


def enters(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    if both is None:
        return None
    on_way = look(clip, event.subject or 0, (event.begin + event.end) / 2)
    edge = event.action.split()[-1]
    assert on_way is not None and on_way.area
    x, y = on_way.middle
    u, v = both[1].middle
    came = {"left": u > x, "right": u < x, "top": v > y, "bottom": v < y}[edge]
    return both[0].area == 0 and both[1].area > 250 and came


def leaves(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    return None if both is None else both[0].area > 250 and both[1].area == 0


def jumps(clip: Clip, event: Happening) -> bool | None:
    both, top = ends(clip, event.subject or 0, event), look(clip, event.subject or 0, (event.begin + event.end) / 2)
    if both is None or top is None:
        return None
    (x, y), (u, v), (_, high) = both[0].middle, both[1].middle, top.middle
    return abs(u - x) < 1 and abs(v - y) < 1 and y - high > 14


def grows(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    return None if both is None else both[1].area > 2.1 * both[0].area


def shrinks(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    return None if both is None else both[0].area > 2.1 * both[1].area


def spins(clip: Clip, event: Happening) -> bool | None:
    number = event.subject or 0
    both = ends(clip, number, event)
    if both is None:
        return None
    # As four frames a second show it, wherever the first of them falls.
    seen = [look(clip, number, event.begin + 0.25 * step) for step in range(7)]
    changes = [
        (one.mask ^ other.mask).sum() / one.area
        for one, other in pairwise(seen) if one and other
    ]  # fmt: skip
    stays = (both[0].mask ^ both[1].mask).sum() / both[0].area
    return bool(stays < 0.1 and sum(change > 0.15 for change in changes) >= 3)


def turns(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    if both is None or both[0].area == 0:
        return None
    x, y = np.argwhere(both[0].mask).mean(0)
    rows, columns = np.nonzero(both[0].mask)
    inside = np.argmin((rows - x) ** 2 + (columns - y) ** 2)
    paint = pixels(clip, event.end + AFTER)[rows[inside], columns[inside]]
    return bool(np.abs(paint - COLOURS[event.action.split()[1]]).max() < 12)


def meets(clip: Clip, event: Happening) -> bool | None:
    one, other = ends(clip, event.subject or 0, event), ends(clip, event.other or 0, event)
    if one is None or other is None:
        return None
    before, after = (gap(one[step], other[step]) for step in (0, 1))
    return before > after + 20 and after < 16 and all((pair[0].mask ^ pair[1].mask).any() for pair in (one, other))


def gap(one: Found, other: Found) -> float:
    first, second = np.argwhere(one.mask), np.argwhere(other.mask)
    return float(np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1).min()))


def follows(clip: Clip, event: Happening) -> bool | None:
    way, leading = moved(clip, event.subject or 0, event), moved(clip, event.other or 0, event)
    behind, leader = ends(clip, event.subject or 0, event), ends(clip, event.other or 0, event)
    if way is None or leading is None or behind is None or leader is None:
        return None
    ahead = np.subtract(leader[1].middle, behind[1].middle)
    return bool(np.dot(way, leading) > 300 and np.dot(ahead, leading) > 0)


def hides(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    return None if both is None else both[0].area > 250 and both[1].area < 0.03 * both[0].area


def comes(clip: Clip, event: Happening) -> bool | None:
    both = ends(clip, event.subject or 0, event)
    return None if both is None else both[1].area > 250 and both[0].area < 0.03 * both[1].area


def pans(clip: Clip, event: Happening) -> bool | None:
    x, y = WAYS[event.action.split()[1]]
    ways = [moved(clip, number, event) for number in seen_at(clip, event)]
    known = [way for way in ways if way is not None]
    return all(way[0] * -x + way[1] * -y > 15 for way in known) if known else None


def zooms(clip: Clip, event: Happening) -> bool | None:
    known = [both for number in seen_at(clip, event) if (both := ends(clip, number, event))]
    inwards = event.action == "zooms in"
    return all((after.area > 1.5 * before.area) == inwards for before, after in known) if known else None


def seen_at(clip: Clip, event: Happening) -> list[int]:
    """Whom the frame before an event shows; a wall's joints depend on its size."""
    found = {number: look(clip, number, event.begin - AFTER) for number in range(len(clip.subjects))}
    return [n for n, each in found.items() if each and each.area > 100 and clip.subjects[n].name != "wall"]


CHECKS: dict[str, Callable[[Clip, Happening], bool | None]] = {
    "moves": moves, "enters": enters, "leaves": leaves, "jumps": jumps, "grows": grows, "shrinks": shrinks,
    "spins": spins, "turns": turns, "meets": meets, "follows": follows, "hides": hides, "comes": comes, "pans": pans,
    "zooms": zooms,
}  # fmt: skip


def test_every_event_is_seen_in_the_frames(many: tuple[Clip, ...]) -> None:
    checked: Counter[str] = Counter()
    for clip in many:
        for event in clip.events:
            verb = event.action.split()[0]
            answer = CHECKS[verb](clip, event)
            assert answer is not False, f"{clip.id}: {event}"
            checked[verb] += answer is True
    assert all(checked[verb] >= 3 for verb in CHECKS), checked


def test_nobody_moves_before_or_after(many: tuple[Clip, ...]) -> None:
    for clip in many:
        first, last = clip.events[0].begin, max(event.end for event in clip.events)
        assert clip.picture(0.0).tobytes() == clip.picture(first - AFTER).tobytes()
        assert clip.picture(last + AFTER).tobytes() == clip.picture(clip.seconds).tobytes()


def test_a_change_is_told_wherever_two_frames_differ(many: tuple[Clip, ...]) -> None:
    # Halfway between two events nothing changes.
    for clip in many[30:70]:
        ends_of = sorted({event.end for event in clip.events})
        begins = sorted({event.begin for event in clip.events})
        for end, begin in zip(ends_of, begins[1:], strict=False):
            assert end < begin
            assert clip.picture(end + 0.01).tobytes() == clip.picture(begin - 0.01).tobytes()


def test_actors_are_large_enough(many: tuple[Clip, ...]) -> None:
    for clip in many[::4]:
        for number in range(len(clip.subjects)):
            for step in range(8):
                found = look(clip, number, clip.seconds * (step + 0.5) / 8)
                pose = clip.film.players[number].track.at(clip.seconds * (step + 0.5) / 8)
                if found is not None and pose.shown and found.area > 250:
                    left, top, right, bottom = found.box
                    assert max(right - left, bottom - top) >= 14
