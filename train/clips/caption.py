"""Tells a film in whole sentences: who is there, then all that happens, in order, and nothing else."""

import random
from collections.abc import Sequence

from magicvl.train.clips.actors import Actor
from magicvl.train.clips.script import Timed
from magicvl.train.clips.stage import Act
from magicvl.train.generator.scenes.words import listed

_OPENINGS = ("There {is} {all}.", "{All} {is} in view.", "The video shows {all}.", "We see {all}.")
_THEN = ("Then {}", "Next, {}", "After that, {}")
_LAST = ("Finally, {}", "At the end, {}")
_OTHER_WORDS = 0.25
"""How often an action is told in other words than the truth has for it."""


def tell(rng: random.Random, actors: Sequence[Actor], beats: Sequence[Timed], shown: Sequence[int]) -> str:
    """The caption of a film in which `shown` are there at the beginning."""
    teller = _Teller(rng, actors)
    teller.open(shown, beats[0].acts)
    for number, beat in enumerate(beats):
        teller.go_on(beat.acts, first=number == 0, last=number == len(beats) - 1)
    return " ".join(teller.sentences)


def clause(actors: Sequence[Actor], act: Act, turned: frozenset[int]) -> str:
    """An event in plain words; whoever has turned another colour is called by its noun alone."""
    return f"{plain_name(actors, act.actor, turned)} {action(actors, act, turned)}"


def action(actors: Sequence[Actor], act: Act, turned: frozenset[int]) -> str:
    """What is done, in plain words."""
    return act.action.format(other=plain_name(actors, act.other, turned))


def plain_name(actors: Sequence[Actor], number: int | None, turned: frozenset[int]) -> str:
    """What somebody is called who is known already."""
    if number is None:
        return "the camera"
    return actors[number].short if number in turned else actors[number].called


class _Teller:
    """Says who is meant so that nobody is taken for another: names once, then `the`, or `it` right after."""

    def __init__(self, rng: random.Random, actors: Sequence[Actor]) -> None:
        self.sentences: list[str] = []
        self._rng = rng
        self._actors = actors
        self._known: set[int] = set()
        self._turned: set[int] = set()
        self._alone: int | None = None
        """The only one that the last sentence is about."""
        self._acts = 0
        """How many the last sentence tells."""
        self._word = ""

    def open(self, shown: Sequence[int], first: Sequence[Act]) -> None:
        """Says who is there; the first event may say it as well where it is about all of them."""
        part = {each for act in first for each in act.actors}
        if not shown or (set(shown) <= part and self._rng.random() < 0.6):
            return
        everyone = listed([self._name(each) for each in shown])
        opening = self._rng.choice(_OPENINGS)
        if opening.startswith("There"):
            be = "is"
        else:
            be = "is" if len(shown) == 1 else "are"
        self.sentences.append(opening.format(all=everyone, All=_capital(everyone), **{"is": be}))
        self._alone = shown[0] if len(shown) == 1 else None

    def go_on(self, acts: Sequence[Act], *, first: bool, last: bool) -> None:
        """Says what happens next."""
        if len(acts) == 1 and self._joined(acts[0]):
            return
        said = self._follows(acts) if any(act.verb == "follow" for act in acts) else self._said(acts)
        word = self._linking(first=first, last=last)
        self.sentences.append(f"{_capital(word.format(said) if word else said)}.")
        self._acts = len(acts)
        part = {each for act in acts for each in act.actors}
        self._alone = part.pop() if len(part) == 1 else None
        self._turn(acts)

    def _joined(self, act: Act) -> bool:
        """Adds to the sentence before what the same one does next."""
        if self._acts != 1 or self._alone is None or act.actor != self._alone or self._rng.random() >= 0.4:
            return False
        link = self._rng.choice(("and then", "and"))
        self.sentences[-1] = f"{self.sentences[-1][:-1]} {link} {self._does(act)}."
        self._acts += 1
        self._alone = None if act.other is not None else self._alone
        self._turn((act,))
        return True

    def _said(self, acts: Sequence[Act]) -> str:
        if len(acts) == 1:
            return f"{self._subject(acts[0].actor)} {self._does(acts[0])}"
        first, second = (f"{self._name(act.actor)} {self._does(act)}" for act in acts)
        return self._rng.choice((f"{first} while {second}", f"{first}, and at the same time {second}"))

    def _follows(self, acts: Sequence[Act]) -> str:
        leading, following = acts
        leader = f"{self._name(leading.actor)} {self._does(leading)}"
        follower = self._name(following.actor)
        return self._rng.choice((f"{leader} and {follower} follows it", f"{leader}, and {follower} follows it"))

    def _subject(self, number: int | None) -> str:
        if number is not None and number == self._alone and number in self._known and self._rng.random() < 0.55:
            return "it"
        return self._name(number)

    def _name(self, number: int | None) -> str:
        if number is None:
            return "the camera"
        if number not in self._known:
            self._known.add(number)
            return self._actors[number].one
        actor = self._actors[number]
        if number in self._turned or (actor.named and self._rng.random() < 0.4):
            return actor.short
        return actor.called

    def _does(self, act: Act) -> str:
        words = self._rng.choice(act.said) if act.said and self._rng.random() < _OTHER_WORDS else act.action
        return words.format(other=self._name(act.other) if act.other is not None else "")

    def _linking(self, *, first: bool, last: bool) -> str:
        if first:
            return ""
        words = [word for word in (*_THEN, "", "", *(_LAST if last else ())) if not word or word != self._word]
        self._word = self._rng.choice(words)
        return self._word

    def _turn(self, acts: Sequence[Act]) -> None:
        self._turned |= {act.actor for act in acts if act.colour is not None and act.actor is not None}


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
