"""Where things are: boxes of named objects, names of what is in a box or at a place, places of objects."""

import random
from functools import partial

from magicvl.train.generator.asking import thousandths, where
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import looks_of, mixed_kinds, only, scene_of
from magicvl.train.generator.scenes.kinds import choose_kinds, choose_look, named_kinds, shape_kinds
from magicvl.train.generator.scenes.scene import Plan, Scene, Seen, compose
from magicvl.train.generator.scenes.words import ask, ask_kind, be, the
from magicvl.train.samples.sample import Turn

_MOST_TURNS = 3


def _ask_box(rng: random.Random, what: str, seen: Seen, scene: Scene) -> Turn:
    return where(rng, what, seen.as_box(), scene.picture.size)


def _box(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), plan)
    asked = rng.sample(scene.objects, min(_MOST_TURNS, len(scene.objects)))
    return scene.drawn(*(_ask_box(rng, the(seen.kind), seen, scene) for seen in asked))


def _box_shapes(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    kinds = choose_kinds(rng, shape_kinds(), rng.randint(least, most))
    scene = compose(rng, split, looks_of(rng, kinds, split), plan)
    asked = rng.sample(scene.objects, min(_MOST_TURNS, len(scene.objects)))
    return scene.drawn(*(_ask_box(rng, the(seen.kind), seen, scene) for seen in asked))


def _box_of_two(rng: random.Random, split: Split, most: int, plan: Plan) -> Drawn:
    """Two of a kind, told apart by where they stand; others beside them."""
    twin, *others = mixed_kinds(rng, named_kinds(split), rng.randint(1, most - 1))
    looks = [choose_look(rng, kind, split) for kind in (twin, twin, *others)]
    scene = compose(rng, split, looks, plan)
    one, other = scene.objects[:2]
    turns = [_ask_box(rng, the(seen.kind), seen, scene) for seen in only(scene)[: _MOST_TURNS - 1]]
    if word := _told_apart(one, other):
        turns.append(_ask_box(rng, f"the {word[0]} {twin.noun}", one, scene))
    return scene.drawn(*turns) if turns else _box_of_two(rng, split, most, plan)


def _told_apart(one: Seen, other: Seen) -> list[str]:
    """Words by which the one is meant and not the other."""
    (x, y), (other_x, other_y) = one.middle, other.middle
    width, height = one.box[2] - one.box[0], one.box[3] - one.box[1]
    words = ["left" if x < other_x else "right"] * (abs(x - other_x) > width)
    return words + ["upper" if y < other_y else "lower"] * (abs(y - other_y) > height)


def _name(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    """What is in a box."""
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), plan)
    turns = []
    for seen in rng.sample(scene.objects, min(_MOST_TURNS, len(scene.objects))):
        box = thousandths(seen.as_box(), scene.picture.size)
        phrases = (f"What is at {box}?", f"What is in the box {box}?", f"Name the object at {box}.")
        turns.append(ask_kind(rng, phrases, seen.kind, "naming"))
    return scene.drawn(*turns)


def _point(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    """Places by words, both ways: where something is, and what is somewhere."""
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), plan)
    turns = []
    for seen in rng.sample(scene.objects, min(_MOST_TURNS, len(scene.objects))):
        place, verb = scene.place(seen), be(seen.kind)
        if rng.random() < 0.5:
            phrases = (
                f"In which part of the picture {verb} {the(seen.kind)}?",
                f"At which place {verb} {the(seen.kind)}?",
            )
            turns.append(ask(rng, phrases, place, "point", ("center",) if place == "centre" else ()))
        else:
            what = (f"What is at the {place}?", f"Which object is at the {place}?", f"Name what is at the {place}.")
            turns.append(ask_kind(rng, what, seen.kind, "point"))
    return scene.drawn(*turns)


_SIMPLE = Plan(smallest=0.4)
_DENSE = Plan(("plain", "textured", "photo"), smallest=0.5, sides=(224, 256, 320, 384))
_CELLS = Plan(layout="cells", smallest=0.6, sides=(192, 224, 256))
_CROWD = Plan(("plain", "textured", "photo"), "cells", smallest=0.6, sides=(224, 256, 320, 384))

DATASETS: tuple[Dataset, ...] = (
    Dataset("grounding/box", "grounding", partial(_box, least=1, most=2, plan=_SIMPLE)),
    Dataset("grounding/box-dense", "grounding", partial(_box, least=4, most=8, plan=_DENSE)),
    Dataset("grounding/box-shapes", "grounding", partial(_box_shapes, least=1, most=4, plan=_SIMPLE)),
    Dataset("grounding/box-shapes-dense", "grounding", partial(_box_shapes, least=4, most=8, plan=_DENSE)),
    Dataset("grounding/box-of-two", "grounding", partial(_box_of_two, most=5, plan=_DENSE)),
    Dataset("grounding/name", "grounding", partial(_name, least=2, most=3, plan=_SIMPLE)),
    Dataset("grounding/name-dense", "grounding", partial(_name, least=4, most=8, plan=_DENSE)),
    Dataset("grounding/point", "grounding", partial(_point, least=1, most=3, plan=_CELLS)),
    Dataset("grounding/point-dense", "grounding", partial(_point, least=4, most=8, plan=_CROWD)),
)
