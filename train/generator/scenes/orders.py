"""Orders by size."""

import random
from collections.abc import Callable
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import looks_of, mixed_kinds, until
from magicvl.train.generator.scenes.kinds import named_kinds
from magicvl.train.generator.scenes.scene import Plan, Scene, compose
from magicvl.train.generator.scenes.sizes import by_size, clearly_sized, falling_shares
from magicvl.train.generator.scenes.words import ask, ask_kind
from magicvl.train.samples.sample import Turn


def _order(rng: random.Random, split: Split, least: int, most: int, plan: Plan) -> Drawn:
    """Orders by size, and what stands beside the largest or the smallest."""
    count = rng.randint(least, most)

    def draw() -> Scene:
        looks = looks_of(rng, mixed_kinds(rng, named_kinds(split), count), split)
        return compose(rng, split, looks, plan, rng.sample(falling_shares(count, plan.largest), count))

    scene = until(draw, lambda scene: clearly_sized(by_size(scene)))
    askers: list[Callable[[random.Random, Scene], Turn]] = [_ask_order, _ask_rank]
    if plan.layout == "row":
        askers.append(_ask_beside_extreme)
    # One question: each one's answer says something of the others'.
    return scene.drawn(rng.choice(askers)(rng, scene))


def _ask_order(rng: random.Random, scene: Scene) -> Turn:
    ordered = by_size(scene)
    named = ", ".join(seen.kind.noun for seen in rng.sample(ordered, len(ordered)))
    words = ("smallest", "largest")
    if rng.random() < 0.5:
        ordered, words = ordered[::-1], ("largest", "smallest")
    phrases = (
        f"Order by size, from {words[0]} to {words[1]}: {named}.",
        f"Sort from {words[0]} to {words[1]}: {named}.",
    )
    return ask(rng, phrases, ", ".join(seen.kind.noun for seen in ordered), "order")


def _ask_rank(rng: random.Random, scene: Scene) -> Turn:
    ordered = by_size(scene)
    choices = [("largest", ordered[-1]), ("smallest", ordered[0]), ("second largest", ordered[-2])]
    word, right = rng.choice(choices)
    return ask_kind(rng, (f"Which object is the {word}?", f"What is the {word} object?"), right.kind, "order")


def _ask_beside_extreme(rng: random.Random, scene: Scene) -> Turn:
    objects = scene.objects
    ordered = by_size(scene)
    options = [
        (word, side, objects[at])
        for word, seen in (("largest", ordered[-1]), ("smallest", ordered[0]))
        for side, at in (("left", objects.index(seen) - 1), ("right", objects.index(seen) + 1))
        if 0 <= at < len(objects)
    ]
    word, side, right = rng.choice(options)
    return ask_kind(rng, (f"What is directly {side} of the {word} object?",), right.kind, "order")


_SIZED_ROW = Plan(layout="row", largest=1.3, sides=(224, 256, 320))

DATASETS: tuple[Dataset, ...] = (
    Dataset("reasoning/order", "reasoning", partial(_order, least=3, most=3, plan=Plan(largest=1.1))),
    Dataset("reasoning/order-row", "reasoning", partial(_order, least=3, most=4, plan=_SIZED_ROW)),
)
