"""Who does what in each clause of a caption, by light rules: no parser, no model.

    A red circle, which is small, enters and follows the square. It is followed by a star.
    -> (red circle, enters)   (red circle, follows square)   (star, followed red circle)

The actor is what stands before the verb; a clause without one (`and moves left`) or with a pronoun has the one of the
clause before, `which` and `who` the one who was named last, and `the circle` is the `red circle` of earlier. A passive
with `by` is turned round. The verb is the first word that looks like one behind the first word. Rules fail on long
winding sentences; what they do not understand supports no event.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from magicvl.train.rewards.clauses import clauses
from magicvl.train.rewards.words import LITTLE, Word, words

PRONOUNS = frozenset("it he she they this that which who both him them".split())
RELATIVE = frozenset("which who that".split())
OBJECTS = frozenset("it him her them".split())
ARTICLES = frozenset("a an the this these those some its his her their another each every".split())
BE = frozenset("is are was were be being been".split())
"""Before a participle a passive or what goes on, alone a state."""
BEGINS = frozenset("begins starts begin start".split())
PREPOSITIONS = frozenset(
    "in on at from with through by near above behind under over across along after of to into onto past down up off "
    "for next around against between out".split()
)
PLURAL = frozenset("people they we you police both".split())
"""Words of which several do something, without an ending that shows it."""
PRESENTS = re.compile(
    r"^(?:(?:then|next|finally|later|now|first|also|suddenly|meanwhile|afterwards|while|when|as|at last)\b,?\s*"
    r"|(?:after|at|in|by|before)\s+(?:that|this|the\s+end|the\s+beginning|first|last)\b,?\s*"
    r"|(?:we|you)\s+(?:can\s+)?see\s+|there\s+(?:is|are)\s+|(?:the|this)\s+(?:video|film|clip|scene)\s+shows\s+)+",
    re.IGNORECASE,
)
"""What leads to an event or names who is there, and tells nothing."""
CAMERA = frozenset({"change", "move"})
"""Verbs that mean panning when a camera does it."""
ACTOR_WORDS = 12
"""Words before the verb; behind that many there is none."""
Said = tuple[Word, ...]


@dataclass(frozen=True)
class Frame:
    """A clause as who does what, little words left out."""

    actor: Said
    """Empty where nobody is named."""
    deed: Said
    """The verb, then its objects and places; empty where nothing is done."""


@lru_cache(maxsize=20_000)
def frames(caption: str) -> tuple[Frame, ...]:
    """What a caption tells, clause by clause; clauses in which nothing is done (`is in view`) are left out."""
    found = resolved(clauses(caption))
    return tuple(each for each in found if each.deed and each.deed[0].text not in PREPOSITIONS)


@lru_cache(maxsize=20_000)
def event_frames(events: tuple[str, ...]) -> tuple[Frame, ...]:
    """The events as frames, one each: a pronoun stands for the actor of the event before."""
    return tuple(resolved(events))


def resolved(texts: Sequence[str]) -> list[Frame]:
    """One frame a text, in which pronouns, missing actors and short names stand for whom they mean."""
    told = _Told()
    return [told.frame(text) for text in texts]


class _Told:
    """What was told so far: whom a pronoun can mean."""

    def __init__(self) -> None:
        self._subject: Said = ()
        self._actors: list[Said] = []
        self._named: list[Said] = []
        """Actors and what something was done to, in order."""

    def frame(self, text: str) -> Frame:
        """The next clause."""
        said = words(PRESENTS.sub("", text))
        place = _verb(said)
        before, behind = (said, ()) if place is None else (said[:place], said[place:])
        self._find_subject(before)
        verb = _main(behind)
        by = next((place for place, word in enumerate(verb) if word.text == "by"), 0)
        if len(verb) < len(behind) and 0 < by < len(verb) - 1 and not verb[0].text.endswith("ing"):
            actor = self._name(_full(verb[by + 1 :]))
            return Frame(actor, (*_full(verb[:by]), *self._subject))
        deed = _by_camera(self._subject, self._with_object(verb))
        articles = [place for place, word in enumerate(verb) if word.text in ARTICLES]
        if articles:
            self._name(_full(verb[articles[-1] :]))
        return Frame(self._subject, deed)

    def _find_subject(self, before: Sequence[Word]) -> None:
        named = _full(_from_article(before))
        if before and before[0].text in RELATIVE:
            self._subject = self._named[-1] if self._named else ()
        elif named and before[0].text not in PRONOUNS:
            self._subject = self._name(named)
            self._actors.append(self._subject)

    def _name(self, name: Said) -> Said:
        """Notes who is named; returns the fuller name."""
        fuller = self._fuller(name)
        if fuller:
            self._named.append(fuller)
        return fuller

    def _fuller(self, name: Said) -> Said:
        """The fuller name that was given earlier to the one who is called by this name."""
        said = {word.meaning for word in name}
        for each in reversed(self._named):
            if name and said < {word.meaning for word in each} and head(name).meaning == head(each).meaning:
                return each
        return name

    def _with_object(self, verb: Said) -> Said:
        """The deed, in which `it` and `him` are whoever was named last beside the actor, and names the fuller ones."""
        deed: list[Word] = []
        place = 0
        while place < len(verb):
            word = verb[place]
            alone = place + 1 == len(verb) or verb[place + 1].text in PREPOSITIONS
            if place and alone and word.text in OBJECTS:
                known = self._named if word.text == "it" else [*self._named, *self._actors]
                deed += next((each for each in reversed(known) if each != self._subject), ())
            elif word.text in ARTICLES:
                name = _noun_phrase(verb[place + 1 :])
                deed += self._fuller(_full(name))
                place += len(name)
            else:
                deed.append(word)
            place += 1
        return _full(deed)


def _noun_phrase(said: Said) -> Said:
    """What stands behind an article, up to the next one or a place."""
    ends = (place for place, word in enumerate(said) if word.text in ARTICLES | PREPOSITIONS)
    return said[: next(ends, len(said))]


def _main(behind: Said) -> Said:
    """Without what helps the verb: `is moving`, `begins to move`. A state keeps its `is`, which is no deed."""
    helps = 0
    while helps < len(behind) - 1 and behind[helps].text in BE | BEGINS | {"to"}:
        helps += 1
    return behind[helps:]


def _by_camera(actor: Said, deed: Said) -> Said:
    """A camera that turns, pans."""
    if not (actor and deed and head(actor).meaning == "camera" and deed[0].meaning in CAMERA):
        return deed
    return (replace(deed[0], meaning="pan"), *deed[1:])


def _verb(said: Sequence[Word]) -> int | None:
    """Where the verb stands."""
    places = range(min(len(said), ACTOR_WORDS))
    for looks in (_finite, _past, _going):
        found = next((place for place in places if looks(said, place)), None)
        if found is not None:
            return found
    return _before_article(said)


def _finite(said: Sequence[Word], place: int) -> bool:
    form, base = _form(said[place])
    ends = form.endswith("s") and base != form and not form.endswith("ss")
    return form in BE or (ends and not _noun_place(said, place))


def _past(said: Sequence[Word], place: int) -> bool:
    form, base = _form(said[place])
    changed = base != form and not form.endswith(("s", "ing", "er", "n"))
    return changed and form not in ARTICLES | PRONOUNS and not _noun_place(said, place)


def _going(said: Sequence[Word], place: int) -> bool:
    form, base = _form(said[place])
    return form.endswith("ing") and base != form and not _noun_place(said, place)


def _form(word: Word) -> tuple[str, str]:
    """A verb as it stands and its lemma, without the word that belongs to it: `picks up` is `picks`."""
    return word.text.split()[0], word.lemma.split()[0]


def _before_article(said: Sequence[Word]) -> int | None:
    """Of several (`two children build a castle`): the word behind theirs, before an article, a place or the end."""
    for place in range(1, min(len(said), ACTOR_WORDS)):
        several = said[place - 1].lemma != said[place - 1].text or said[place - 1].text in PLURAL
        after = said[place + 1].text if place + 1 < len(said) else "the"
        if several and after in ARTICLES | PREPOSITIONS | {"away", "left", "right"}:
            return None if _noun_place(said, place) or said[place].text in PREPOSITIONS else place
    return None


def _noun_place(said: Sequence[Word], place: int) -> bool:
    """Whether only a noun or adjective can stand there: right behind an article or preposition."""
    return place > 0 and said[place - 1].text in ARTICLES | PREPOSITIONS


def _from_article(before: Sequence[Word]) -> list[Word]:
    """Without a place that stands before the actor: `in a kitchen a woman`."""
    if not before or before[0].text not in PREPOSITIONS:
        return list(before)
    articles = [place for place, word in enumerate(before) if word.text in ARTICLES]
    return list(before[articles[-1] :]) if articles else list(before)


def head(name: Said) -> Word:
    """The word that says who or what it is: the last one before a place or a belonging (`man` in a red jacket)."""
    ends = next(
        (place for place, word in enumerate(name) if place and word.text in PREPOSITIONS | {"wearing"}), len(name)
    )
    return name[ends - 1]


def _full(said: Sequence[Word]) -> Said:
    return tuple(word for word in said if word.text not in LITTLE)
