"""Which object is on which side of which; two looks, since one is found by the other."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import looks_of, scene_of, until
from magicvl.train.generator.scenes.kinds import named_kinds, shape_kinds
from magicvl.train.generator.scenes.places import Layout
from magicvl.train.generator.scenes.scene import Plan, Scene, Seen, compose
from magicvl.train.generator.scenes.words import ask, ask_kind, ask_number, ask_yes, be, the
from magicvl.train.nano.scenes import COLOURS, SHAPES
from magicvl.train.samples.sample import Turn

_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def _relation(rng: random.Random, split: Split, most: int, plans: Sequence[Plan]) -> Drawn:
    """Things in a row or a column: which is on which side of which."""
    scene = scene_of(rng, split, named_kinds(split), rng.randint(2, most), rng.choice(plans))
    word = "left of" if scene.objects[0].box[2] <= scene.objects[1].box[0] else "above"
    # One question: each one's answer says something of the others'.
    return scene.drawn(rng.choice((_ask_whether, _ask_side, _ask_neighbour))(rng, scene.objects, word))


def _ask_whether(rng: random.Random, objects: Sequence[Seen], word: str) -> Turn:
    """`word` is true of every object and each later one."""
    first, second = sorted(rng.sample(range(len(objects)), 2))
    yes = rng.random() < 0.5
    one, other = (objects[first], objects[second]) if yes else (objects[second], objects[first])
    if rng.random() < 0.5:
        one, other, word = other, one, _OPPOSITE[word]
    verb = be(one.kind).capitalize()
    return ask_yes(rng, (f"{verb} {the(one.kind)} {word} {the(other.kind)}?",), yes, "relation")


def _ask_side(rng: random.Random, objects: Sequence[Seen], word: str) -> Turn:
    first, second = rng.sample(range(len(objects)), 2)
    answer = (word if first < second else _OPPOSITE[word]).removesuffix(" of")
    one, other = objects[first].kind, objects[second].kind
    phrases = (
        f"Where {be(one)} {the(one)}, seen from {the(other)}?",
        f"On which side of {the(other)} {be(one)} {the(one)}?",
        f"{be(one).capitalize()} {the(one)} left of, right of, above or below {the(other)}?",
    )
    return ask(rng, phrases, answer, "relation", (f"{answer} of",) if answer in ("left", "right") else ())


def _ask_neighbour(rng: random.Random, objects: Sequence[Seen], word: str) -> Turn:
    first = rng.randrange(len(objects) - 1)
    answer, asked = objects[first], objects[first + 1]
    if rng.random() < 0.5:
        answer, asked, word = asked, answer, _OPPOSITE[word]
    phrases = (
        f"What is directly {word} {the(asked.kind)}?",
        f"Which object is right next to {the(asked.kind)}, {word} it?",
    )
    return ask_kind(
        rng, phrases if len(objects) > 2 else (f"What is {word} {the(asked.kind)}?",), answer.kind, "relation"
    )


def _relation_dense(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """Four to eight things in a grid: lines of it are asked about."""

    def draw() -> Scene:
        return scene_of(rng, split, named_kinds(split), rng.randint(4, 8), plan)

    scene = until(draw, lambda scene: bool(_lines(scene)))
    askers = (_ask_whether, _ask_side, _ask_neighbour)
    lines = rng.sample(_lines(scene), min(3, len(_lines(scene))))
    return scene.drawn(*(rng.choice(askers)(rng, line, word) for word, line in lines))


def _lines(scene: Scene) -> list[tuple[str, list[Seen]]]:
    """Rows and columns of the grid with two objects or more, each in its order."""
    width, height = scene.picture.size
    found = []
    for number in range(3):
        row = [seen for seen in scene.objects if int(seen.middle[1] * 3 / height) == number]
        column = [seen for seen in scene.objects if int(seen.middle[0] * 3 / width) == number]
        found.append(("left of", sorted(row, key=lambda seen: seen.middle[0])))
        found.append(("above", sorted(column, key=lambda seen: seen.middle[1])))
    return [(word, line) for word, line in found if len(line) > 1]


def _between(rng: random.Random, split: Split, least: int, most: int, plans: Sequence[Plan]) -> Drawn:
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), rng.choice(plans))
    first = rng.randrange(len(scene.objects) - 2)
    ends = rng.sample((scene.objects[first].kind, scene.objects[first + 2].kind), 2)
    middle = scene.objects[first + 1].kind
    among = f"between {the(ends[0])} and {the(ends[1])}"
    turns = [ask_kind(rng, (f"What is {among}?", f"Which object is {among}?"), middle, "relation")]
    if most > 3:
        turns.append(_ask_how_many_between(rng, scene.objects))
    return scene.drawn(*turns)


def _ask_how_many_between(rng: random.Random, objects: Sequence[Seen]) -> Turn:
    gap = rng.randint(0, len(objects) - 2)
    first = rng.randrange(len(objects) - 1 - gap)
    ends = rng.sample((objects[first].kind, objects[first + gap + 1].kind), 2)
    return ask_number(rng, (f"How many objects are between {the(ends[0])} and {the(ends[1])}?",), gap, "relation")


def _two_looks(rng: random.Random, split: Split, least: int, most: int, layouts: Sequence[Plan]) -> Drawn:
    """Coloured shapes in a line: the colour or the shape of what is beside one that is named."""
    shapes = rng.sample(SHAPES, rng.randint(least, most))
    colours = rng.sample(list(COLOURS), len(shapes))
    by_name = {(kind.colour, kind.shape): kind for kind in shape_kinds()}
    kinds = [by_name[pair] for pair in zip(colours, shapes, strict=True)]
    plan = rng.choice(layouts)
    scene = compose(rng, split, looks_of(rng, kinds, split), plan)
    words = ("left", "right") if plan.layout == "row" else ("above", "below")
    turns = [_ask_beside(rng, scene.objects, words) for _ in range(2)]
    return scene.drawn(*dict.fromkeys(turns))


def _ask_beside(rng: random.Random, objects: Sequence[Seen], words: tuple[str, str]) -> Turn:
    at = rng.randrange(len(objects) - 1)
    (answer, asked), word = rng.choice((((at, at + 1), words[0]), ((at + 1, at), words[1])))
    word = f"{word} of" if word in ("left", "right") else word
    kind, beside = objects[answer].kind, objects[asked].kind
    if rng.random() < 0.5:
        phrases = (f"What colour is the shape directly {word} the {beside.shape}?",)
        return ask(rng, phrases, str(kind.colour), "relation", ("gray",) if kind.colour == "grey" else ())
    return ask(rng, (f"What shape is directly {word} the {beside.colour} one?",), str(kind.shape), "relation")


def _both(plan: Plan, layouts: tuple[Layout, ...]) -> tuple[Plan, ...]:
    return tuple(replace(plan, layout=layout) for layout in layouts)


_SIMPLE = Plan(smallest=0.6)
_DENSE = Plan(("plain", "textured", "photo"), smallest=0.6, sides=(224, 256, 320, 384), overlap=0.06)
_LINES = _both(_SIMPLE, ("row", "column"))
_DENSE_LINES = _both(_DENSE, ("row", "column"))
_CELLS = Plan(("plain", "textured", "photo"), "cells", smallest=0.6, sides=(224, 256, 320, 384))

DATASETS: tuple[Dataset, ...] = (
    Dataset("reasoning/relation", "reasoning", partial(_relation, most=3, plans=_LINES)),
    Dataset("reasoning/relation-dense", "reasoning", partial(_relation_dense, plan=_CELLS)),
    Dataset("reasoning/between", "reasoning", partial(_between, least=3, most=3, plans=_LINES)),
    Dataset("reasoning/between-dense", "reasoning", partial(_between, least=4, most=6, plans=_DENSE_LINES)),
    Dataset("reasoning/two-looks", "reasoning", partial(_two_looks, least=2, most=3, layouts=_LINES)),
    Dataset("reasoning/two-looks-dense", "reasoning", partial(_two_looks, least=4, most=6, layouts=_DENSE_LINES)),
)
