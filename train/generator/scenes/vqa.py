"""Questions about what scenes show: names, colours, numbers, presence, sizes."""

import random
from collections import Counter
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import (
    absent,
    looks_of,
    mixed_kinds,
    only,
    repeated,
    scene_of,
    things_by_colour,
    until,
)
from magicvl.train.generator.scenes.kinds import (
    Kind,
    Look,
    choose_kinds,
    choose_look,
    countable_kinds,
    kind_of,
    named_kinds,
    shape_kinds,
)
from magicvl.train.generator.scenes.scene import Plan, Scene, Seen, compose
from magicvl.train.generator.scenes.sizes import area, by_size, clearly_sized, falling_shares
from magicvl.train.generator.scenes.words import ask, ask_kind, ask_number, ask_yes, be, the
from magicvl.train.nano.scenes import COLOURS
from magicvl.train.samples.sample import Turn

_NAME = ("What is this?", "What is it?", "Name the object.", "What object is this?", "What is shown here?")


def _naming(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    scene = compose(rng, split, looks_of(rng, choose_kinds(rng, named_kinds(split), 1), split), plan)
    return scene.drawn(ask_kind(rng, _NAME, scene.objects[0].kind, "naming"))


def _colour(rng: random.Random, split: Split, most: int, plan: Plan) -> Drawn:
    """Every colour is asked for equally often, of shapes and of drawings that have one colour."""
    known = things_by_colour(split)
    colour = rng.choice(list(COLOURS))
    if rng.random() < 0.6 and colour in known:
        thing = rng.choice(known[colour])
        look = Look(kind_of(thing.name), thing.mean, colour, thing)
    else:
        look = choose_look(rng, rng.choice([kind for kind in shape_kinds() if kind.colour == colour]), split)
    pool = named_kinds(split) if look.thing else shape_kinds()
    others = choose_kinds(rng, pool, rng.randint(1, most) - 1, [_as_shape(look.kind)])
    scene = compose(rng, split, [look, *looks_of(rng, others, split)], plan)
    return scene.drawn(_ask_colour(rng, look.kind.shape or look.kind.noun, colour, look.kind))


def _as_shape(kind: Kind) -> Kind:
    """A shape as any colour's: in the picture with it there is no other of its shape."""
    return Kind(str(kind.shape), "", "", kin=kind.kin) if kind.shape else kind


def _ask_colour(rng: random.Random, noun: str, colour: str, kind: Kind) -> Turn:
    phrases = (f"What colour {be(kind)} the {noun}?", f"What color {be(kind)} the {noun}?", f"Colour of the {noun}?")
    return ask(rng, phrases, colour, "colour", ("gray",) if colour == "grey" else ())


def _how_many(kind: Kind) -> tuple[str, ...]:
    many = kind.plural
    return f"How many {many} are there?", f"How many {many} do you see?", f"Count the {many}.", f"How many {many}?"


def _count(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """One kind, one to eight times, each number as often."""
    kind = mixed_kinds(rng, countable_kinds(split), 1)[0]
    scene = compose(rng, split, repeated(rng, {kind: rng.randint(1, 8)}, split, alike=0.7), plan)
    phrases = (*_how_many(kind), "How many objects are there?", "How many things do you see?")
    return scene.drawn(ask_number(rng, phrases, len(scene.objects)))


def _count_mixed(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """Two kinds, each zero to six times, each number as often; both are asked for."""
    kinds = mixed_kinds(rng, countable_kinds(split), 3)
    counts = {kind: rng.randint(0, 6) for kind in kinds[:2]}
    counts[kinds[2]] = rng.randint(0 if sum(counts.values()) else 1, 2)
    scene = compose(rng, split, repeated(rng, counts, split), plan)
    asked = rng.sample(kinds[:2], 2)
    return scene.drawn(*(ask_number(rng, _how_many(kind), counts[kind]) for kind in asked))


def _exists(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    """Two questions, each with a fair coin for its answer."""
    scene = scene_of(rng, split, named_kinds(split), rng.randint(least, most), plan)
    there = rng.sample(scene.objects, min(2, len(scene.objects)))
    turns, asked = [], set[Kind]()
    for seen in there:
        yes = rng.random() < 0.5
        kind = seen.kind if yes else absent(rng, split, scene)
        if kind not in asked:
            asked.add(kind)
            verb = f"Is there {kind.one}" if kind.article else f"Are there {kind.noun}"
            phrases = (f"{verb} in the picture?", f"{verb}?", f"Do you see {kind.one}?", f"Can you see {kind.one}?")
            turns.append(ask_yes(rng, phrases, yes, "exists"))
    return scene.drawn(*turns)


def _size(rng: random.Random, split: Split, most: int, plan: Plan) -> Drawn:
    """Objects of clearly different sizes; either of two is as often the larger one."""
    count = rng.randint(2, most)
    shares = falling_shares(count, plan.largest)

    def draw() -> Scene:
        looks = looks_of(rng, mixed_kinds(rng, named_kinds(split), count), split)
        return compose(rng, split, looks, plan, rng.sample(shares, count))

    scene = until(draw, lambda scene: clearly_sized(by_size(scene)))
    ordered = by_size(scene)
    if count > 2 and rng.random() < 0.5:
        word, right = rng.choice((("largest", ordered[-1]), ("biggest", ordered[-1]), ("smallest", ordered[0])))
        return scene.drawn(
            ask_kind(rng, (f"What is the {word} object?", f"Which object is the {word}?"), right.kind, "size")
        )
    return scene.drawn(_ask_larger(rng, *rng.sample(ordered, 2)))


def _ask_larger(rng: random.Random, one: Seen, other: Seen) -> Turn:
    larger, smaller = (one, other) if area(one) > area(other) else (other, one)
    word, right = rng.choice((("bigger", larger), ("larger", larger), ("smaller", smaller)))
    if rng.random() < 0.5:
        phrases = (f"Which is {word}, {the(one.kind)} or {the(other.kind)}?",)
        return ask_kind(rng, phrases, right.kind, "size")
    phrases = (f"{be(one.kind).capitalize()} {the(one.kind)} {word} than {the(other.kind)}?",)
    return ask_yes(rng, phrases, right is one, "size")


def _shapes(rng: random.Random, split: Split, most: int, plan: Plan) -> Drawn:
    """Coloured shapes: one kind up to `most` times, each number as often, and some that are there once."""
    kinds = choose_kinds(rng, shape_kinds(), rng.randint(1, 4))
    counts = dict.fromkeys(kinds, 1) | {kinds[0]: rng.randint(1, most)}
    scene = compose(rng, split, repeated(rng, counts, split), plan)
    turns = [ask_number(rng, _how_many(kinds[0]), counts[kinds[0]])]
    shapes, colours = Counter(kind.shape for kind in kinds), Counter(kind.colour for kind in kinds)
    for kind in (seen.kind for seen in only(scene)):
        if shapes[kind.shape] == 1 and rng.random() < 0.5:
            turns.append(_ask_colour(rng, str(kind.shape), str(kind.colour), kind))
        elif colours[kind.colour] == 1:
            phrases = (f"What shape is {kind.colour}?", f"Which shape is {kind.colour}?")
            turns.append(ask(rng, phrases, str(kind.shape), "naming"))
    return scene.drawn(*rng.sample(turns, min(3, len(turns))))


_SIMPLE = Plan()
_PHOTO = Plan(("textured", "photo", "photo"), smallest=0.3, largest=0.75, sides=(192, 224, 256, 320))
_DENSE = Plan(("plain", "textured", "photo"), smallest=0.6, sides=(224, 256, 320, 384), overlap=0.06)
_SIZED = Plan(largest=1.0)

DATASETS: tuple[Dataset, ...] = (
    Dataset("vqa/naming", "vqa", partial(_naming, plan=_SIMPLE)),
    Dataset("vqa/naming-photo", "vqa", partial(_naming, plan=_PHOTO)),
    Dataset("vqa/colour", "vqa", partial(_colour, most=2, plan=_SIMPLE)),
    Dataset("vqa/colour-dense", "vqa", partial(_colour, most=6, plan=_DENSE)),
    Dataset("vqa/count", "vqa", partial(_count, plan=Plan(smallest=0.8))),
    Dataset("vqa/count-mixed", "vqa", partial(_count_mixed, plan=_DENSE)),
    Dataset("vqa/exists", "vqa", partial(_exists, least=1, most=3, plan=_SIMPLE)),
    Dataset("vqa/exists-dense", "vqa", partial(_exists, least=4, most=8, plan=_DENSE)),
    Dataset("vqa/size", "vqa", partial(_size, most=3, plan=_SIZED)),
    Dataset("vqa/shapes", "vqa", partial(_shapes, most=4, plan=_SIMPLE)),
    Dataset("vqa/shapes-dense", "vqa", partial(_shapes, most=8, plan=_DENSE)),
)
