"""Words and their letters: spelling, counting, turning round, capitals."""

import random

from magicvl.train.generator.asking import ask, in_words
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.words import made_up, word

_SPELL = ('Spell "{word}" with hyphens.', 'Write the letters of "{word}" with a hyphen between them.')
_JOIN = ("Which word is spelled {letters}?", "Write {letters} as one word.")
_COUNT = ('How many letters does "{word}" have?', 'Count the letters of "{word}".')
_FIRST = ('What is the first letter of "{word}"?', 'Which letter does "{word}" begin with?')
_LAST = ('What is the last letter of "{word}"?', 'Which letter does "{word}" end with?')
_BACKWARDS = ('Write "{word}" backwards.', 'Reverse the word "{word}".')
_CAPITALS = ('Write "{word}" in capital letters.', 'Put "{word}" in upper case.')
_HOW_OFTEN = (
    'How many times does the letter "{letter}" occur in "{word}"?',
    'Count the letter "{letter}" in "{word}".',
)


def _draw(rng: random.Random, split: Split) -> Drawn:
    text = word(rng, split) if rng.random() < 0.7 else made_up(rng, split)
    letters, letter = "-".join(text), rng.choice(text)
    often = text.count(letter)
    turns = (
        ask(rng, _SPELL, letters, task="spell", word=text),
        ask(rng, _JOIN, text, task="join", letters=letters),
        ask(rng, _COUNT, len(text), task="count letters", others=[in_words(len(text))], word=text),
        ask(rng, _FIRST, text[0], task="first letter", word=text),
        ask(rng, _LAST, text[-1], task="last letter", word=text),
        ask(rng, _BACKWARDS, text[::-1], task="backwards", word=text),
        ask(rng, _CAPITALS, text.upper(), task="capitals", word=text),
        ask(rng, _HOW_OFTEN, often, task="count letter", others=[in_words(often)], word=text, letter=letter),
    )
    return Drawn((), (rng.choice(turns),), ())


DATASETS = (Dataset("text/spelling", "text", _draw),)
