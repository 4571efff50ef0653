"""Lists of words: sorting, picking, leaving out, joining; and words of a sentence in their order."""

import random

from magicvl.train.generator.asking import ask, in_words, listed, ordinal, spoken, yes
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.words import several

_SORT = ("Sort by the alphabet: {words}.", "Put these words in alphabetical order: {words}.")
_NTH = ("What is the {nth} word of this list: {words}?", "Which word is the {nth} one: {words}?")
_WITHOUT = ('Write this list without "{word}": {words}.', 'Remove "{word}" from: {words}.')
_COUNT = ("How many words are in this list: {words}?", "Count the words: {words}.")
_REVERSE = ("Write this list in the opposite order: {words}.", "Reverse this list: {words}.")
_IN = ('Is "{word}" in this list: {words}? Answer yes or no.', 'Does the list {words} have "{word}"? Answer yes or no.')
_JOIN = ('Write this list as a sentence part with "and": {words}.', 'Join with commas and "and": {words}.')
_LONGEST = ("Which of these words is the longest: {words}?", "Name the longest word: {words}.")


def _draw(rng: random.Random, split: Split) -> Drawn:
    words = several(rng, split, rng.randint(3, 6))
    *kept, absent = words
    text, one = listed(kept), rng.choice(kept)
    asked = rng.choice((one, absent))
    longest = sorted(kept, key=len)[-2:]
    turns = [
        ask(rng, _SORT, listed(sorted(kept)), task="alphabet", words=text),
        ask(rng, _NTH, one, task="nth of list", words=text, nth=ordinal(kept.index(one) + 1)),
        ask(rng, _WITHOUT, listed([word for word in kept if word != one]), task="without", words=text, word=one),
        ask(rng, _COUNT, len(kept), task="count words", others=[in_words(len(kept))], words=text),
        ask(rng, _REVERSE, listed(kept[::-1]), task="reverse", words=text),
        ask(rng, _IN, yes(asked in kept), task="in list", words=text, word=asked),
        ask(rng, _JOIN, spoken(kept), task="join", words=text),
    ]
    if len(longest[0]) < len(longest[1]):
        turns.append(ask(rng, _LONGEST, longest[1], task="longest", words=text))
    return Drawn((), (rng.choice(turns),), ())


DATASETS = (Dataset("text/lists", "text", _draw),)
