"""Choosing what a scene shows, by what will be asked about it."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from magicvl.train.assets.catalogue import Thing
from magicvl.train.assets.pack import Pack, installed_pack
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.scenes.kinds import Kind, Look, choose_kinds, choose_look, named_kinds, shape_kinds
from magicvl.train.generator.scenes.scene import Plan, Scene, Seen, compose

SHAPES = 0.2
"""Share of coloured shapes among the objects of a scene."""


def mixed_kinds(rng: random.Random, pool: tuple[Kind, ...], count: int, shapes: float = SHAPES) -> list[Kind]:
    """So many kinds, some of them coloured shapes."""
    drawn = sum(rng.random() < shapes for _ in range(count))
    chosen = choose_kinds(rng, pool, count - drawn) if count > drawn else []
    chosen += choose_kinds(rng, shape_kinds(), count - len(chosen), chosen) if count > len(chosen) else []
    rng.shuffle(chosen)
    return chosen


def looks_of(rng: random.Random, kinds: Sequence[Kind], split: Split) -> list[Look]:
    """A drawing of each."""
    return [choose_look(rng, kind, split) for kind in kinds]


def repeated(rng: random.Random, counts: Mapping[Kind, int], split: Split, alike: float = 0.5) -> list[Look]:
    """Each kind so often, in any order; with chance `alike` all of a kind are the same drawing."""
    looks: list[Look] = []
    for kind, count in counts.items():
        same = rng.random() < alike
        one = choose_look(rng, kind, split)
        looks += [one if same else choose_look(rng, kind, split) for _ in range(count)]
    rng.shuffle(looks)
    return looks


def absent(rng: random.Random, split: Split, scene: Scene, shapes_only: bool = False) -> Kind:
    """A kind that nothing in the scene could be taken for; often much like one that is there."""
    there = [seen.kind for seen in scene.objects]
    like = rng.choice(there)
    pool = shape_kinds() if like.shape or shapes_only else named_kinds(split)
    if rng.random() < 0.5:
        pool = tuple(kind for kind in pool if _alike(kind, like)) or pool
    free = choose_kinds(rng, pool, 1, there) or choose_kinds(rng, shape_kinds(), 1, there)
    return free[0]


def _alike(kind: Kind, other: Kind) -> bool:
    if other.shape:
        return kind.shape == other.shape or kind.colour == other.colour
    return kind.group == other.group


def until(draw: Callable[[], Scene], holds: Callable[[Scene], bool]) -> Scene:
    """The first scene of which something holds."""
    while not holds(scene := draw()):
        pass
    return scene


def scene_of(rng: random.Random, split: Split, pool: tuple[Kind, ...], count: int, plan: Plan) -> Scene:
    """A scene of so many different kinds."""
    return compose(rng, split, looks_of(rng, mixed_kinds(rng, pool, count), split), plan)


def only(scene: Scene) -> list[Seen]:
    """The objects that are the only ones of their kind."""
    counts = Counter(seen.kind for seen in scene.objects)
    return [seen for seen in scene.objects if counts[seen.kind] == 1]


def reading_order(scene: Scene) -> list[Seen]:
    """From top to bottom by thirds of the picture, in each from left to right."""
    third = scene.picture.height / 3
    return sorted(scene.objects, key=lambda seen: (int(seen.middle[1] // third), seen.middle[0]))


def things_by_colour(split: Split) -> Mapping[str, tuple[Thing, ...]]:
    """The split's drawings that have one colour, by it."""
    return _things_by_colour(installed_pack(), split)


@cache
def _things_by_colour(pack: Pack, split: Split) -> Mapping[str, tuple[Thing, ...]]:
    found: dict[str, list[Thing]] = defaultdict(list)
    for things in pack.things(split).values():
        for thing in things:
            if thing.colour:
                found[thing.colour].append(thing)
    return {colour: tuple(found[colour]) for colour in sorted(found)}
