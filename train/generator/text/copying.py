"""Saying a sentence again, in whole or in part."""

import random

from magicvl.train.generator.asking import ask, ordinal
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.words import sentence

_REPEAT = ("Repeat: {text}", "Say this again: {text}", "Copy this sentence: {text}")
_WORD = ("What is the {nth} word of this sentence? {text}", "Which word is the {nth} one in: {text}")
_COUNT = ("How many words does this sentence have? {text}", "Count the words: {text}")
_LAST = ("What is the last word of this sentence? {text}", "Which word does this end with? {text}")
_AFTER = ('Which word comes after "{word}" in this sentence? {text}',)


def _draw(rng: random.Random, split: Split) -> Drawn:
    text = sentence(rng, split)
    words = [word.strip(".,?!") for word in text.split()]
    place = rng.randrange(len(words) - 1)
    turns = [
        ask(rng, _REPEAT, text, "cer", "copy", text=text),
        ask(rng, _WORD, words[place], task="nth word", text=text, nth=ordinal(place + 1)),
        ask(rng, _COUNT, len(words), task="count words", text=text),
        ask(rng, _LAST, words[-1], task="last word", text=text),
    ]
    if words.count(words[place]) == 1:
        turns.append(ask(rng, _AFTER, words[place + 1], task="next word", text=text, word=words[place]))
    return Drawn((), (rng.choice(turns),), ())


DATASETS = (Dataset("text/copying", "text", _draw),)
