"""Descriptions of held-out films in torch, and what they are worth: for curves while a run goes.

The measurement that counts goes through the converted bundle (magicvl.bench.video).
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from magicvl.train.video.films import Film, Films
from magicvl.train.video.generation import generate
from magicvl.train.video.rewards import Scorer, spelled


def describe(model: Any, films: Films, which: Sequence[Film], most_tokens: int) -> list[str]:
    """What a model writes about films, the likeliest token each time; all films in one batch.

    `model` is a Captioner, or PEFT's around one. The texts are as written, valid or not.
    """
    tokenizer = films.processor.tokenizer
    was_training = model.training
    model.eval()
    prompts = [film.prompt for film in which]
    answers = generate(model, prompts, most=most_tokens, end=int(tokenizer.eos_token_id))
    model.train(was_training)
    return [spelled(answer, tokenizer) for answer in answers]


def held_out_scores(model: Any, films: Films, scorer: Scorer, most_tokens: int) -> dict[str, float]:
    """Means over the held-out films, by the names of `Worth` and of `Signs`, and the mean length of a text."""
    which = [films[len(films) + number] for number in range(films.held_out)]
    texts = describe(model, films, which, most_tokens)
    worths = [asdict(worth) for worth in scorer.score(which, texts)]
    means = {name: sum(worth[name] for worth in worths) / len(worths) for name in worths[0]}
    return means | {"characters": sum(map(len, texts)) / len(texts)} | scorer.signs(which, texts)
