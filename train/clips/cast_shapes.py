"""Casts of nano's shapes, on grounds from which all of them are told."""

import random

from magicvl.train.clips import held_out
from magicvl.train.clips.actors import COVERS, shape_actor
from magicvl.train.clips.cast import Cast, Wish, shade, sizes_of, wall_for
from magicvl.train.clips.ground import SCATTERED, Textured
from magicvl.train.generator.dataset import Split
from magicvl.train.nano.scenes import COLOURS, HELD_OUT_BACKGROUNDS, SHAPES, TRAINING_BACKGROUNDS, too_close

LEAST = 15.0
"""Px from the middle of a shape to its end: it is 30 px across, and a patch of the encoder 16 px."""
FRAMES = ((128, 96), (96, 128), (128, 128), (160, 96), (160, 128), (128, 160), (160, 160))
"""In px: whole tokens."""
_ALIKE = 0.35
"""Share of films in which two may have the shape or the colour in common."""
_CALM = tuple(texture for texture in TRAINING_BACKGROUNDS if texture != "noise")
_UNLIKE = frozenset({"square", "diamond"})
"""Shapes that are not in one film: a turned square might be called a diamond."""

Look = tuple[str, str]
"""Shape and colour."""


def cast_shapes(rng: random.Random, split: Split, count: int, wish: Wish) -> Cast:
    """So many shapes, perhaps a wall."""
    roomy = count > 2 or wish.sized
    width, height = rng.choice([size for size in FRAMES if not roomy or min(size) >= 128])
    ground = rng.choice(list(COLOURS))
    free = tuple(colour for colour in COLOURS if colour not in too_close(ground))
    looks = _looks(rng, split, free, count, wish)
    kinds = [kind for kind, _ in looks]
    sizes = sizes_of(rng, count, min(width, height), LEAST, sized=wish.sized)
    actors = [
        shape_actor(kind, colour, shade(rng, COLOURS[colour], 12), size, called, named=kinds.count(kind) == 1)
        for (kind, colour), (size, called) in zip(looks, sizes, strict=True)
    ]
    wall = wall_for(rng, free, actors, height) if wish.wall else None
    actors += [wall] if wall else []
    return Cast(width, height, LEAST, tuple(actors), _ground(rng, split, ground, wish), 2, free)


def _looks(rng: random.Random, split: Split, free: tuple[str, ...], count: int, wish: Wish) -> list[Look]:
    """Shapes and their colours: no two could be taken for each other."""
    looks: list[Look] = []
    alike = rng.random() < _ALIKE
    while len(looks) < count:
        kind, colour = rng.choice(SHAPES), rng.choice(free)
        if held_out.tested(split) and rng.random() < held_out.SHARE:
            kind, colour = rng.choice(sorted(held_out.LOOKS))
        if alike and len(looks) == 1:
            kind, colour = rng.choice(((looks[0][0], colour), (kind, looks[0][1])))
        if wish.sized and len(looks) == 1:
            # The second is large, and hides the first.
            kind = rng.choice(sorted(COVERS))
        if colour in free and held_out.may_show(split, kind, colour) and all(
            _told_apart((kind, colour), other, share=alike) for other in looks
        ):  # fmt: skip
            looks.append((kind, colour))
    return looks


def _told_apart(one: Look, other: Look, *, share: bool) -> bool:
    """Whether two shapes differ beyond doubt; unless they may `share` one, both in shape and in colour."""
    if {one[0], other[0]} == _UNLIKE:
        return False
    same_kind, same_colour = one[0] == other[0], one[1] == other[1]
    if not share:
        return not same_kind and not same_colour
    near = one[1] in too_close(other[1]) or other[1] in too_close(one[1])
    return not (same_kind and near)


def _ground(rng: random.Random, split: Split, colour: str, wish: Wish) -> Textured:
    """A calm ground; one that shows how the camera moves has clear marks."""
    textures = HELD_OUT_BACKGROUNDS if held_out.tested(split) else _CALM
    first = shade(rng, COLOURS[colour], 10)
    if wish.camera is None:
        return Textured(rng.choice(textures), first, shade(rng, COLOURS[colour], 18), rng.getrandbits(32))
    step = rng.randint(24, 34) * (-1 if sum(first) > 360 else 1)
    red, green, blue = (min(255, max(0, channel + step)) for channel in first)
    texture = rng.choice(textures) if held_out.tested(split) else SCATTERED
    return Textured(texture, first, (red, green, blue), rng.getrandbits(32))
