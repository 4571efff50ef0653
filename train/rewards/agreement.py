"""Whether a judge of captions can judge: its verdicts on planted truths.

A judge that gives numbers gets its line between told and untold from the films beside those it is measured on: the
line of every second film serves the others, and the other way round; the line of all serves afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from magicvl.errors import MagicVLError
from magicvl.train.filters.planted import best_line
from magicvl.train.rewards.event_judge import EventJudge
from magicvl.train.rewards.event_score import Asked, Entailer
from magicvl.train.rewards.planted import KINDS, Kind, Planted, PlantedFilm

Progress = Callable[[str, int, int], None]
Verdicts = Sequence[Sequence[tuple[bool, ...]]]
"""One an event, for each caption of each film."""

LEAST_BALANCED = 0.75
LEAST_SWAPPED = 0.6
"""Guessing reaches a half of all events, and at most a quarter of the swapped ones."""


@dataclass(frozen=True)
class Row:
    """Captions of one kind."""

    kind: Kind
    told: int
    """Events that they tell, and how many of them were found."""
    found: int
    untold: int
    """Events that they do not tell, and how many were found missing."""
    missed: int


@dataclass(frozen=True)
class Agreement:
    """How a judge did."""

    name: str
    rows: tuple[Row, ...]
    """By kind; captions in another order are not among them."""
    swapped: float
    """Share of swapped events that it finds told in the right caption and untold in the swapped one."""
    pairs: int
    """Of those."""
    order: float
    """Share of captions in another order that it finds worth less than all events."""
    line: float | None = None
    """Of a judge that gives numbers."""

    @property
    def told(self) -> float:
        """Share of told events that it finds."""
        return _share(sum(row.found for row in self.rows), sum(row.told for row in self.rows))

    @property
    def untold(self) -> float:
        """Share of untold events that it finds missing."""
        return _share(sum(row.missed for row in self.rows), sum(row.untold for row in self.rows))

    @property
    def balanced(self) -> float:
        """Both counted half: 0.5 is what guessing gives."""
        return (self.told + self.untold) / 2

    @property
    def trusted(self) -> bool:
        """Whether it can judge."""
        return self.balanced >= LEAST_BALANCED and self.swapped >= LEAST_SWAPPED


def measure(entailer: Entailer, films: Sequence[PlantedFilm], progress: Progress | None = None) -> Agreement:
    """The agreement of whatever gives verdicts. `progress` is told how many films are done."""
    verdicts: list[list[tuple[bool, ...]]] = []
    for number, film in enumerate(films):
        _tell(progress, entailer.name, number, len(films))
        verdicts.append(entailer.entails(_asked(film)))
    _tell(progress, entailer.name, len(films), len(films))
    return _agreement(entailer.name, films, verdicts, None)


def measure_judge(judge: EventJudge, films: Sequence[PlantedFilm], progress: Progress | None = None) -> Agreement:
    """The agreement of a judge that gives numbers, and its line. At least two films."""
    sure: list[list[tuple[float, ...]]] = []
    for number, film in enumerate(films):
        _tell(progress, judge.name, number, len(films))
        sure.append(judge.sure(_asked(film)))
    _tell(progress, judge.name, len(films), len(films))
    lines = [_line(films[part::2], sure[part::2]) for part in (0, 1)]
    verdicts = [
        [tuple(each > lines[1 - number % 2] for each in row) for row in rows] for number, rows in enumerate(sure)
    ]
    return _agreement(judge.name, films, verdicts, _line(films, sure))


def require(agreement: Agreement) -> Agreement:
    """The same. Raises MagicVLError, in one line with its scores, for a judge that cannot judge."""
    if agreement.trusted:
        return agreement
    raise MagicVLError(
        f"judge {agreement.name}: it cannot judge captions: {agreement.balanced:.0%} of planted events, where "
        f"{LEAST_BALANCED:.0%} are due and 50% is guessing; {agreement.swapped:.0%} of {agreement.pairs} swapped "
        f"actors noticed, where {LEAST_SWAPPED:.0%} are due; give a better model, or the judge `embedding`"
    )


def _asked(film: PlantedFilm) -> list[Asked]:
    return [Asked(each.caption, film.events) for each in film.captions]


def _tell(progress: Progress | None, name: str, done: int, total: int) -> None:
    if progress is not None:
        progress(f"{name}: planted film", done, total)


def _line(films: Sequence[PlantedFilm], sure: Sequence[Sequence[tuple[float, ...]]]) -> float:
    sides: dict[bool, list[float]] = {True: [], False: []}
    for film, rows in zip(films, sure, strict=True):
        for caption, row in zip(film.captions, rows, strict=True):
            for told, value in zip(caption.told, row, strict=True):
                sides[told].append(value)
    return best_line(sides[True], sides[False])


def _agreement(name: str, films: Sequence[PlantedFilm], verdicts: Verdicts, line: float | None) -> Agreement:
    every = [
        (each, verdict)
        for film, rows in zip(films, verdicts, strict=True)
        for each, verdict in zip(film.captions, rows, strict=True)
    ]
    rows = tuple(_row(kind, every) for kind in KINDS if kind != "order" and any(each.kind == kind for each, _ in every))
    pairs = [pair for film, given in zip(films, verdicts, strict=True) for pair in _swapped(film, given)]
    turned = [not all(verdict) for each, verdict in every if each.kind == "order"]
    return Agreement(name, rows, _share(sum(pairs), len(pairs)), len(pairs), _share(sum(turned), len(turned)), line)


def _row(kind: Kind, every: Sequence[tuple[Planted, tuple[bool, ...]]]) -> Row:
    events = [pair for each, verdict in every if each.kind == kind for pair in zip(each.told, verdict, strict=True)]
    told = [said for true, said in events if true]
    untold = [said for true, said in events if not true]
    return Row(kind, len(told), sum(told), len(untold), len(untold) - sum(untold))


def _swapped(film: PlantedFilm, verdicts: Sequence[tuple[bool, ...]]) -> list[bool]:
    """Of each swapped event, whether it is found told in the right caption and untold in the swapped one."""
    by_kind = {each.kind: (each, verdict) for each, verdict in zip(film.captions, verdicts, strict=True)}
    if "swapped" not in by_kind or "right" not in by_kind:
        return []
    swapped, said = by_kind["swapped"]
    right = by_kind["right"][1]
    return [right[place] and not said[place] for place, told in enumerate(swapped.told) if not told]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
