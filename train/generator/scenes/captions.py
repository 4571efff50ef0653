"""Captions of scenes: one named object, counts, places, crowds."""

import random
from collections import defaultdict
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import looks_of, mixed_kinds, reading_order, repeated, scene_of
from magicvl.train.generator.scenes.kinds import Kind, choose_kinds, countable_kinds, named_kinds, shape_kinds
from magicvl.train.generator.scenes.scene import Plan, Scene, compose
from magicvl.train.generator.scenes.words import NUMBERS, counted, listed
from magicvl.train.samples.sample import Turn

WHOLE = (
    "Describe the picture.", "What is in the picture?", "What do you see?", "Describe this image.",
    "Write a caption.", "What does the picture show?", "Give a short description.",
)  # fmt: skip
PLACES = (
    "Describe the picture and say where everything is.", "Where is everything?", "What is where?",
    "List the objects and their places.", "Say what you see, and where.",
)  # fmt: skip


def _caption(rng: random.Random, phrases: tuple[str, ...], text: str) -> Turn:
    return Turn(rng.choice(phrases), text, "f1", "scene")


def _on_ground(text: str, scene: Scene) -> str:
    return f"{text} on a{'n' if scene.ground == 'orange' else ''} {scene.ground} background" if scene.ground else text


def _object(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    scene = compose(rng, split, looks_of(rng, choose_kinds(rng, named_kinds(split), 1), split), plan)
    return scene.drawn(_caption(rng, WHOLE, _on_ground(scene.objects[0].kind.one, scene)))


def _counts(rng: random.Random, split: Split, pool: str, most: int, plan: Plan) -> Drawn:
    """Up to `most` objects of one to four kinds."""
    total = rng.randint(2, most)
    number = rng.randint(1, min(4, total))
    kinds = choose_kinds(rng, shape_kinds(), number) if pool == "shapes" else mixed_kinds(
        rng, countable_kinds(split), number
    )  # fmt: skip
    counts = dict.fromkeys(kinds, 1)
    for _ in range(total - len(kinds)):
        counts[rng.choice(kinds)] += 1
    scene = compose(rng, split, repeated(rng, counts, split), plan)
    return scene.drawn(_caption(rng, WHOLE, _on_ground(counted(seen.kind for seen in reading_order(scene)), scene)))


def _places(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), plan)
    parts = [f"{seen.kind.one} at the {scene.place(seen)}" for seen in reading_order(scene)]
    return scene.drawn(_caption(rng, PLACES, listed(parts)))


def _crowd(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """Five to eight objects, several of a kind: each kind's number and its places."""
    kinds = mixed_kinds(rng, countable_kinds(split), rng.randint(2, 4))
    counts = dict.fromkeys(kinds, 1)
    for _ in range(rng.randint(5, 8) - len(kinds)):
        counts[rng.choice(kinds)] += 1
    scene = compose(rng, split, repeated(rng, counts, split), plan)
    places: dict[Kind, list[str]] = defaultdict(list)
    for seen in reading_order(scene):
        places[seen.kind].append(scene.place(seen))
    return scene.drawn(_caption(rng, PLACES, "; ".join(_at(kind, where) for kind, where in places.items())))


def _at(kind: Kind, places: list[str]) -> str:
    what = kind.one if len(places) == 1 else f"{NUMBERS[len(places)]} {kind.plural}"
    return f"{what} at the {listed(places)}"


_SIMPLE = Plan()
_DENSE = Plan(("plain", "textured", "photo", "photo"), sides=(224, 256, 320, 384))
_CELLS = Plan(layout="cells", smallest=0.6, sides=(192, 224, 256))
_CROWD = Plan(("plain", "textured", "photo"), "cells", smallest=0.55, sides=(224, 256, 320, 384))

DATASETS: tuple[Dataset, ...] = (
    Dataset("caption/object", "caption", partial(_object, plan=_SIMPLE)),
    Dataset("caption/object-photo", "caption", partial(_object, plan=Plan(("photo",), smallest=0.35, largest=0.7))),
    Dataset("caption/shapes", "caption", partial(_counts, pool="shapes", most=5, plan=_SIMPLE)),
    Dataset("caption/shapes-dense", "caption", partial(_counts, pool="shapes", most=8, plan=_DENSE)),
    Dataset("caption/counts", "caption", partial(_counts, pool="names", most=4, plan=_SIMPLE)),
    Dataset("caption/counts-dense", "caption", partial(_counts, pool="names", most=8, plan=_DENSE)),
    Dataset("caption/places", "caption", partial(_places, least=2, most=3, plan=_CELLS)),
    Dataset("caption/places-dense", "caption", partial(_places, least=4, most=8, plan=_CROWD)),
    Dataset("caption/crowd", "caption", partial(_crowd, plan=_CROWD)),
)
