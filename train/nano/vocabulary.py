"""The small vocabulary of the nano model: it can spell any text, and knows our questions' words."""

import random
from collections.abc import Iterator

from transformers import PreTrainedTokenizerFast

from magicvl.edge.prompt import Pieces
from magicvl.train.nano.questions import all_questions
from magicvl.train.nano.scenes import make_scene
from magicvl.train.vocabulary import build_vocabulary


def build_tokenizer(size: int, seed: int = 0) -> PreTrainedTokenizerFast:
    """Trains the tokenizer on generated questions; `size` is the most tokens, special ones included.

    Printed words and numbers are left out of the corpus, so that they are spelled.
    """
    return build_vocabulary(_corpus(seed), size, Pieces(), rarest=20)


def _corpus(seed: int) -> Iterator[str]:
    for index in range(4000):
        rng = random.Random(f"vocabulary {seed} {index}")
        scene = make_scene(rng, 128, 128)
        for question in all_questions(rng, scene):
            yield question.prompt
            if not scene.prints:
                yield question.answer
