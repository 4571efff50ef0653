"""Decides about samples, one after another: rules first, then what is there already, then the judge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magicvl.errors import PictureError, SampleError
from magicvl.train.filters.decisions import Decision
from magicvl.train.filters.duplicates import Duplicates, marks_of
from magicvl.train.filters.judge import Judge
from magicvl.train.filters.judge_prompt import cases_of
from magicvl.train.filters.planted import Agreement
from magicvl.train.filters.rules import RULES, broken_rule
from magicvl.train.filters.thresholds import Thresholds
from magicvl.train.samples.opening import open_pictures
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Try

UNREADABLE = "unreadable"
NAMES = (UNREADABLE, *RULES, "duplicate", "same picture", "same answer", "incoherent", "unfounded")
"""All rules, in the order in which they are asked."""
JUDGED = {"coherence": "incoherent", "facts": "unfounded"}
"""The rules of the judge's checks."""
EXCERPT = 160
"""Characters."""


@dataclass(frozen=True)
class Bench:
    """A judge with the checks that it can be trusted with."""

    judge: Judge
    agreements: Sequence[Agreement]


class Examiner:
    """Decides; remembers what stays."""

    def __init__(self, line: Thresholds, bench: Bench | None = None) -> None:
        self._line = line
        self._bench = bench
        self._duplicates = Duplicates(line)

    def remember(self, decision: Decision) -> None:
        """Takes over what an earlier run decided."""
        if decision.marks is not None:
            self._duplicates.add(decision.name, decision.marks)

    def decide(self, attempt: Try, number: int) -> tuple[Decision, Sample | None]:
        """What becomes of the sample that a try gives, and the sample where it stays. Remembers it."""
        try:
            sample = attempt()
        except (SampleError, PictureError) as error:
            return Decision(str(number), "", UNREADABLE, str(error)), None
        decision = self._decide(sample)
        self.remember(decision)
        return decision, sample if decision.rule is None else None

    def _decide(self, sample: Sample) -> Decision:
        try:
            opened = open_pictures(sample)
        except PictureError as error:
            return _out(sample, "picture", str(error))
        if (broken := broken_rule(opened, self._line)) is not None:
            return _out(sample, *broken)
        marks = marks_of(opened, self._line)
        if (repeated := self._duplicates.find(marks)) is not None:
            return _out(sample, *repeated)
        judged: list[float] = []
        for each, score in self._judge(sample):
            judged.append(score - each.line)
            if score <= each.line:
                why = f"{each.way}: {score:.2f}, the line is at {each.line:.2f}"
                return _out(sample, JUDGED[each.check], why, tuple(judged))
        return Decision(sample.id, sample.source, marks=marks, judged=tuple(judged))

    def _judge(self, sample: Sample) -> Iterator[tuple[Agreement, float]]:
        """The judge's score of each case that it can be trusted with."""
        if self._bench is None:
            return
        trusted = {each.check: each for each in self._bench.agreements}
        for check, case in cases_of(sample):
            if (each := trusted.get(check)) is None:
                continue
            score = self._bench.judge.score(each.way, check, case)
            if score is not None:
                yield each, score


def _out(sample: Sample, rule: str, why: str, judged: tuple[float, ...] = ()) -> Decision:
    turn = sample.turns[0]
    excerpt = " ".join(f"{turn.prompt} -> {turn.answer}".split())
    return Decision(sample.id, sample.source, rule, why, _shown(excerpt), judged=judged)


def _shown(text: str) -> str:
    """The beginning of a text, in characters that a report can show."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:EXCERPT])
    return f"{shown} ..." if len(text) > EXCERPT else shown
