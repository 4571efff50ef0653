"""A caption, read back word by word, tells the events, all of them, in order, and nothing else."""

import re
from collections.abc import Iterator, Sequence

import pytest

from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip
from magicvl.train.nano.scenes import COLOURS

SAME = {
    r"^goes (up|down)$": r"moves \1", r"^goes (left|right)$": r"moves \1", r"^moves to the (left|right)$": r"moves \1",
    r"^jumps up$": "jumps", r"^spins around$": "spins", r"^gets larger$": "grows", r"^gets smaller$": "shrinks",
    r"^becomes (\w+)$": r"turns \1", r"^comes in from": "enters from", r"^goes out": "leaves",
    r"^goes after": "follows", r"^comes together with": "meets", r"^goes behind": "hides behind",
    r"^appears from behind": "comes out from behind",
    r"^comes closer$": "zooms in", r"^goes back$": "zooms out",
}  # fmt: skip
OPENING = re.compile(r"^(There is (?P<a>.*)|(?P<b>.*) (?:is|are) in view|The video shows (?P<c>.*)|We see (?P<d>.*))$")
LINK = re.compile(r"^(Then|Next,|After that,|Finally,|At the end,) ")
ALL_AT_ONCE = re.compile(r", and at the same time | while |,? and (?=(?:the|an?) .* follows it$)")
SUBJECT = re.compile(r"^(it|(?:the|an?) (?:(?:large|small|" + "|".join(COLOURS) + r") )*\w+) (.*)$")
Told = tuple[int | None, str]


class Reader:
    """Understands captions as a person would who has the names alone."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.told: list[Told] = []
        self.known: set[int] = set()
        self.last: set[int | None] = set()

    def who(self, phrase: str) -> int | None:
        article, *words = phrase.lower().split()
        if words == ["camera"]:
            return None
        fitting = [
            number for number, each in enumerate(self.clip.subjects)
            if each.name == words[-1] and set(words[:-1]) <= set(each.attributes)
        ]  # fmt: skip
        assert len(fitting) == 1, f"{phrase!r} may be any of {fitting}: {self.clip.caption}"
        # Who is new has an article that says so.
        assert (article != "the") == (fitting[0] not in self.known), f"{phrase!r}: {self.clip.caption}"
        self.known.add(fitting[0])
        return fitting[0]

    def plain(self, predicate: str, subject: int | None) -> tuple[str, set[int | None]]:
        for pattern, word in SAME.items():
            predicate = re.sub(pattern, word, predicate)
        found = re.match(r"^(meets|follows|hides behind|comes out from behind) (.*)$", predicate)
        if not found:
            return predicate, {subject}
        other = self.leader if found[2] == "it" else self.who(found[2])
        return f"{found[1]} {other}", {subject, other}

    @property
    def leader(self) -> int | None:
        return self.told[-1][0]

    def clause(self, text: str, subject: int | str | None) -> int | None:
        found = SUBJECT.match(text[0].lower() + text[1:])
        if found and subject == "new":
            if found[1] == "it":
                assert len(self.last) == 1, f"who is `it`? {self.clip.caption}"
                subject = next(iter(self.last))
            else:
                subject = self.who(found[1])
            text = found[2]
        assert not isinstance(subject, str), text
        predicate, part = self.plain(text, subject)
        self.told.append((subject, predicate))
        self.part |= part
        return subject

    def sentence(self, text: str) -> None:
        self.part: set[int | None] = set()
        text = LINK.sub("", text)
        for both in ALL_AT_ONCE.split(text):
            subject: int | str | None = "new"
            for piece in re.split(r" and(?: then)? ", both):
                subject = self.clause(piece, subject)
        self.last = self.part

    def read(self) -> list[Told]:
        for sentence in self.clip.caption.removesuffix(".").split(". "):
            opening = OPENING.match(sentence)
            if opening and not self.told and not self.known:
                everyone = next(part for part in opening.groups()[1:] if part)
                self.last = {self.who(each) for each in re.split(r", | and ", everyone)}
            else:
                self.sentence(sentence)
        return self.told


def truth(clip: Clip) -> Iterator[Told]:
    for event in clip.events:
        if event.other is None:
            yield event.subject, event.action
        else:
            words = re.match(r"meets|follows|hides behind|comes out from behind", event.action)
            assert words
            yield event.subject, f"{words[0]} {event.other}"


def check(clip: Clip) -> None:
    reader = Reader(clip)
    assert reader.read() == list(truth(clip)), f"{clip.id}: {clip.caption}"
    assert reader.known == set(range(len(clip.subjects)))
    assert clip.caption.endswith(".") and all(part[0].isupper() for part in clip.caption.split(". "))


def test_a_caption_tells_all_and_nothing_else(many: Sequence[Clip]) -> None:
    for clip in many:
        check(clip)


def test_wordings_differ(many: Sequence[Clip]) -> None:
    text = " ".join(clip.caption for clip in many)
    for part in ("There is", "in view", "The video shows", "We see", "Then ", "Next, ", "Finally, ", " and then ",
                 " while ", " It ", "goes left", "moves left", "comes in from", "becomes", "follows it"):  # fmt: skip
        assert part in text


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation", "test", "style"])
@pytest.mark.parametrize("style", ["shapes/simple", "shapes/mixed", "shapes/rich"])
def test_a_thousand_captions(style: str, split: str) -> None:
    for index in range(1000):
        check(make_clip(17, index, split, style))  # type: ignore[arg-type]
