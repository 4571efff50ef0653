"""Casts of named objects out of the generator's pack, on photographs or calm grounds."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from magicvl.train.clips.actors import WALL, Actor, body_of, thing_actor
from magicvl.train.clips.cast import Cast, Wish, sizes_of, wall_for
from magicvl.train.clips.ground import BEYOND
from magicvl.train.clips.motion import Rgb
from magicvl.train.generator.dataset import Split
from magicvl.train.generator.scenes import kinds
from magicvl.train.generator.scenes.backdrop import Ground, draw_backdrop
from magicvl.train.generator.scenes.choose import looks_of
from magicvl.train.nano.scenes import COLOURS

LEAST = 36.0
"""Px from the middle of an object to its end: it is 72 px long."""
FRAMES = ((320, 240), (320, 256), (352, 288), (384, 288), (480, 352), (480, 360))
"""In px."""
SPOKEN_FOR = frozenset({WALL, "camera"})
"""What a caption calls something else."""
_GROUNDS: tuple[Ground, ...] = ("photo", "photo", "textured", "plain")
_BLUR = 1.8
"""Px: what is far away is a little out of focus."""
_CHOICES = 8
"""Parts of photographs that one is chosen from ..."""
_SMALLER = 8
"""... so many times smaller than it will be."""
_LEAST_DETAIL = 6.0
"""Of a ground that shows how the camera moves; see _detail."""
_NEAR = 80.0
"""Distance of colours, of 442 between black and white, that are hard to tell apart."""
_LEAST_FILLED = 0.3
"""Share of the square around a drawing that it covers: others are hard to see when they are small."""


@dataclass(frozen=True)
class Scenery:
    """A ground of the generator's."""

    ground: Ground
    split: Split
    means: tuple[Rgb, ...]
    """What those look like who are to be told from it."""
    named: tuple[str, ...]
    """Colours that somebody is called by."""
    seed: int
    detailed: bool = False
    """Whether it must show how the camera moves."""
    beyond: float = BEYOND

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """The ground."""
        picture = self._drawn(self._best(size), size)
        return picture.filter(ImageFilter.GaussianBlur(_BLUR)) if self.ground == "photo" else picture

    def _best(self, size: tuple[int, int]) -> int:
        """The one of some seeds whose ground looks least like those who stand on it, and is not bare if it may not."""
        if self.ground != "photo":
            return self.seed
        small = size[0] // _SMALLER, size[1] // _SMALLER
        grounds = {seed: self._drawn(seed, small) for seed in range(self.seed, self.seed + _CHOICES)}
        bare = {seed: self.detailed and _detail(picture) < _LEAST_DETAIL for seed, picture in grounds.items()}
        return min(grounds, key=lambda seed: (bare[seed], self._alike(grounds[seed])))

    def _alike(self, picture: Image.Image) -> float:
        """The largest share of a ground, over all actors, that has nearly the colour of one."""
        pixels = np.asarray(picture, np.float32)
        return max(
            float((np.linalg.norm(pixels - np.asarray(mean, np.float32), axis=2) < _NEAR).mean()) for mean in self.means
        )  # fmt: skip

    def _drawn(self, seed: int, size: tuple[int, int]) -> Image.Image:
        return draw_backdrop(
            random.Random(seed), self.split, size, self.ground, self.means, self.named
        ).picture  # fmt: skip


def _detail(picture: Image.Image) -> float:
    """The mean difference of neighbouring px, of 255, in that quarter of a ground that has the least of it."""
    pixels = np.asarray(picture.convert("L"), np.float32)
    rough = np.abs(np.diff(pixels, axis=1))[:-1] + np.abs(np.diff(pixels, axis=0))[:, :-1]
    down, across = rough.shape[0] // 2, rough.shape[1] // 2
    return min(
        float(part.mean()) for half in (rough[:down], rough[down:]) for part in (half[:, :across], half[:, across:])
    )


def cast_objects(rng: random.Random, split: Split, count: int, wish: Wish) -> Cast:
    """So many objects, perhaps a wall. Raises SampleError where there is no pack."""
    width, height = rng.choice([size for size in FRAMES if count <= 2 or min(size) >= 288])
    looks = _looks(rng, split, count)
    sizes = sizes_of(rng, len(looks), min(width, height), LEAST, sized=wish.sized)
    actors = [
        thing_actor(look, size, called, flipped=rng.random() < 0.5)
        for look, (size, called) in zip(looks, sizes, strict=True)
    ]
    wall = wall_for(rng, list(COLOURS), actors, height) if wish.wall else None
    actors += [wall] if wall else []
    return Cast(width, height, LEAST, tuple(actors), _scenery(rng, split, actors, wish), 1)


def _looks(rng: random.Random, split: Split, count: int) -> list[kinds.Look]:
    """Drawings of different kinds, none of them thin, or called what something else is called."""
    while True:
        looks = looks_of(rng, kinds.choose_kinds(rng, kinds.countable_kinds(split), count), split)
        if all(look.kind.noun not in SPOKEN_FOR and body_of(look).fills >= _LEAST_FILLED for look in looks):
            return looks


def _scenery(rng: random.Random, split: Split, actors: list[Actor], wish: Wish) -> Scenery:
    ground: Ground = "photo" if wish.camera else rng.choice(_GROUNDS)
    means, named = tuple(actor.rgb for actor in actors), tuple(actor.colour for actor in actors if actor.colour)
    return Scenery(ground, split, means, named, rng.getrandbits(32), detailed=wish.camera is not None)
