"""What does not belong with the others."""

import random
from functools import partial

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.scenes.choose import looks_of, mixed_kinds, repeated
from magicvl.train.generator.scenes.kinds import choose_kinds, named_kinds, shape_kinds
from magicvl.train.generator.scenes.scene import Plan, compose
from magicvl.train.generator.scenes.words import ask, ask_kind
from magicvl.train.nano.scenes import COLOURS, SHAPES

_ODD = ("Which object is the odd one out?", "What does not belong with the others?", "Which one is different?")


def _odd_simple(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """Several of a kind and one of another."""
    many, one = mixed_kinds(rng, named_kinds(split), 2)
    scene = compose(rng, split, repeated(rng, {many: rng.randint(3, 5), one: 1}, split), plan)
    return scene.drawn(ask_kind(rng, _ODD, one, "odd"))


def _odd_shape(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """All of one colour save one, or all of one shape save one."""
    by_colour = rng.random() < 0.5
    pool = shape_kinds()
    if by_colour:
        most, odd = rng.sample(list(COLOURS), 2)
        kinds = rng.sample([kind for kind in pool if kind.colour == most], rng.randint(3, 5))
        kinds.append(
            rng.choice([kind for kind in pool if kind.colour == odd and kind.shape not in {k.shape for k in kinds}])
        )
        phrases = ("What colour is the odd one out?", "Which colour is there only once?")
    else:
        most, odd = rng.sample(SHAPES, 2)
        kinds = rng.sample([kind for kind in pool if kind.shape == most], rng.randint(3, 5))
        kinds.append(
            rng.choice([kind for kind in pool if kind.shape == odd and kind.colour not in {k.colour for k in kinds}])
        )
        phrases = ("What shape is the odd one out?", "Which shape is there only once?")
    scene = compose(rng, split, looks_of(rng, rng.sample(kinds, len(kinds)), split), plan)
    return scene.drawn(ask(rng, phrases, odd, "odd"))


_GROUPS = {"animal": "an animal", "artifact": "a thing that people make", "food": "food"}


def _odd_group(rng: random.Random, split: Split, plan: Plan) -> Drawn:
    """Different things of one group, and one of another."""
    pools = {group: tuple(kind for kind in named_kinds(split) if kind.group == group) for group in _GROUPS}
    most, odd = rng.sample([group for group in pools if pools[group]], 2)
    kinds = choose_kinds(rng, pools[most], rng.randint(3, 5))
    one = choose_kinds(rng, pools[odd], 1, kinds)[0]
    scene = compose(rng, split, looks_of(rng, rng.sample([*kinds, one], len(kinds) + 1), split), plan)
    phrases = (*_ODD, f"Which of these is {_GROUPS[odd]}?", f"Which of these is not {_GROUPS[most]}?")
    return scene.drawn(ask_kind(rng, phrases, one, "odd"))


_SIMPLE = Plan(smallest=0.6)
_DENSE = Plan(("plain", "textured", "photo"), smallest=0.6, sides=(224, 256, 320, 384), overlap=0.06)

DATASETS: tuple[Dataset, ...] = (
    Dataset("reasoning/odd", "reasoning", partial(_odd_simple, plan=_SIMPLE)),
    Dataset("reasoning/odd-shape", "reasoning", partial(_odd_shape, plan=_SIMPLE)),
    Dataset("reasoning/odd-group", "reasoning", partial(_odd_group, plan=_DENSE)),
)
