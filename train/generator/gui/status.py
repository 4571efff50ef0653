"""The status bar alone: time and battery. The simplest of the screens."""

import random

from magicvl.train.generator.asking import some
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.gui.look import blank, common_turns, pick_look, screenshot, status_bar


def _draw(rng: random.Random, split: Split) -> Drawn:
    look = pick_look(rng, split)
    page = blank(look, rng.choice((32, 40, 64)))
    status_bar(page, look)
    shot = screenshot(rng, page)
    return Drawn((shot.picture,), some(rng, common_turns(rng, look), 2), shot.boxes)


DATASETS = (Dataset("status", "gui", _draw),)
