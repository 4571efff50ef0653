"""A short passage of made-up facts, and what follows from it: who, where, what, how many, yes or no."""

import random
from dataclasses import dataclass, replace

from magicvl.train.generator.asking import ask, yes
from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.generator.names import people, town
from magicvl.train.generator.words import several
from magicvl.train.samples.sample import Turn

_COLOURS = "red blue green yellow white black brown grey pink purple orange".split()
_WHERE = ("Where does {name} live?", "In which town does {name} live?")
_WHO = ("Who lives in {town}?", "Which person lives in {town}?")
_AGE = ("How old is {name}?", "What is the age of {name}?")
_HAS = ("What does {name} have?", "Which thing belongs to {name}? Name it with its colour.")
_COLOUR = ("What colour is the {thing}?", "Which colour does the {thing} have?")
_OWNER = ("Who has the {thing}?", "Whose is the {thing}?")
_OLDER = ("Who is older, {name} or {other}?", "Which of the two is older: {name} or {other}?")
_LIVES = ("Does {name} live in {town}? Answer yes or no.", "Is {town} where {name} lives? Answer yes or no.")


@dataclass(frozen=True)
class Person:
    """What is said of one."""

    name: str
    town: str
    age: int
    colour: str
    thing: str

    def sentences(self) -> list[str]:
        """All of it."""
        article = "an" if self.colour[0] in "aeiou" else "a"
        return [
            f"{self.name} lives in {self.town}.",
            f"{self.name} is {self.age} years old.",
            f"{self.name} has {article} {self.colour} {self.thing}.",
        ]


def _persons(rng: random.Random, split: Split) -> list[Person]:
    count = rng.randint(2, 3)
    towns: dict[str, None] = {}
    while len(towns) < count:
        towns[town(rng, split)] = None
    ages, colours, things = rng.sample(range(6, 95), count), rng.sample(_COLOURS, count), several(rng, split, count)
    return [Person(*one) for one in zip(people(rng, split, count), towns, ages, colours, things, strict=True)]


def _turns(rng: random.Random, persons: list[Person]) -> list[Turn]:
    one, other = rng.sample(persons, 2)
    article = "an" if one.colour[0] in "aeiou" else "a"
    asked = rng.choice((one, other))
    return [
        ask(rng, _WHERE, one.town, task="where", name=one.name),
        ask(rng, _WHO, one.name, task="who", town=one.town),
        ask(rng, _AGE, one.age, task="age", name=one.name, others=[f"{one.age} years old"]),
        ask(rng, _HAS, f"{article} {one.colour} {one.thing}", "anls", "has", name=one.name),
        ask(rng, _COLOUR, one.colour, task="colour", thing=one.thing),
        ask(rng, _OWNER, one.name, task="owner", thing=one.thing),
        ask(rng, _OLDER, max((one, other), key=lambda p: p.age).name, task="older", name=one.name, other=other.name),
        ask(rng, _LIVES, yes(asked is one), task="yes or no", name=one.name, town=asked.town),
    ]


def _draw(rng: random.Random, split: Split) -> Drawn:
    persons = _persons(rng, split)
    sentences = [sentence for person in persons for sentence in person.sentences()]
    rng.shuffle(sentences)
    turn = rng.choice(_turns(rng, persons))
    return Drawn((), (replace(turn, prompt=f"{' '.join(sentences)} {turn.prompt}"),), ())


DATASETS = (Dataset("text/facts", "text", _draw),)
