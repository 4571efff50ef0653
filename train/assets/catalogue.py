"""What a pack of drawings holds: names, the drawings of each, backgrounds, and on which side of the split each is."""

from dataclasses import dataclass
from typing import Literal, get_args

from magicvl.train.generator.dataset import Split

ThingSet = Literal["stamps", "openclipart", "flashcards", "costumes", "emoji"]
SETS: tuple[ThingSet, ...] = get_args(ThingSet)
Style = Literal["photo", "drawing"]
KEPT_APART: ThingSet = "emoji"
"""The set that nothing is trained on; it is what split `style` draws."""


@dataclass(frozen=True)
class Name:
    """A common noun that drawings are called by."""

    name: str
    """Lower case, singular; what is always plural stays so."""
    plural: str
    article: str
    """a or an; empty for what is always plural."""
    group: str
    """animal, artifact, body, food, nature, person or plant: WordNet's."""
    others: tuple[str, ...] = ()
    """Other right answers: synonyms, and what it is a kind of."""
    kin: tuple[str, ...] = ()
    """Names that may be said of the same thing; they are never in one picture with it."""
    countable: bool = True
    """False for what has no number, as bread and water."""


@dataclass(frozen=True)
class Thing:
    """One drawing of something."""

    number: int
    """Of its picture in the pack."""
    name: str
    set: ThingSet
    style: Style
    licence: str
    split: Split
    width: int
    """In px, as packed."""
    height: int
    """In px, as packed."""
    colour: str | None
    """The one colour that nearly all of it has, where there is one."""
    mean: tuple[int, int, int]
    """Mean colour of what can be seen of it."""
    source: str
    """Its file in its package, or its character."""


@dataclass(frozen=True)
class Backdrop:
    """A photograph to put things on."""

    number: int
    """Of its picture in the pack."""
    split: Split
    """train or test; the other two splits draw what test draws."""
    source: str


@dataclass(frozen=True)
class Catalogue:
    """Everything in a pack."""

    names: tuple[Name, ...]
    things: tuple[Thing, ...]
    backdrops: tuple[Backdrop, ...]
    packages: dict[str, str]
    """Package -> version that it was made of."""
