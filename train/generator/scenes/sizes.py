"""Sizes of objects, where they are asked for: clearly different ones."""

from itertools import pairwise

from magicvl.train.generator.scenes.scene import Scene, Seen


def falling_shares(count: int, largest: float) -> list[float]:
    """Sides as shares of an object's room, each well below the one before."""
    return [largest * 0.62**rank for rank in range(count)]


def area(seen: Seen) -> int:
    """What its box covers, in px."""
    left, top, right, bottom = seen.box
    return (right - left) * (bottom - top)


def by_size(scene: Scene) -> list[Seen]:
    """The smallest first."""
    return sorted(scene.objects, key=area)


def clearly_sized(ordered: list[Seen]) -> bool:
    """Whether each is larger than the one before, however one looks at it."""
    return all(area(b) >= 1.7 * area(a) and b.extent >= 1.2 * a.extent for a, b in pairwise(ordered))
