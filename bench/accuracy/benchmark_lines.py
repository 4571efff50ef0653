"""The figures that benchmarks report besides a mean: circular accuracy, points, figures and questions as wholes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from magicvl.bench.accuracy.lines import by_groups, grouped, make_line
from magicvl.bench.accuracy.question import Line, Question, Scored
from magicvl.bench.accuracy.tsv import Row
from magicvl.errors import UsageError

ROTATION = 10**6
"""MMBench gives a question with rotated options the index of the first plus a multiple of this."""
RECOGNITION = "Text Recognition"
"""Ends the names of five of OCRBench's categories, which it reports as one with that of digits."""


def mmbench(answers: Sequence[Scored]) -> list[Line]:
    """Circular evaluation (arXiv 2307.06281): a question counts where all its rotations are answered rightly.

    The line `all` is this one; `each rotation` is the mean over all rows. Without rotations in the table they are one.
    """
    rotations = _gathered(answers, _first_index)
    whole = [_worst(group) for group in rotations.values()]
    lines = by_groups("split", "l2-category", "category")(whole)
    return [*lines, make_line("rule", "each rotation", answers)]


def ocrbench(answers: Sequence[Scored]) -> list[Line]:
    """Points of 1,000 (arXiv 2305.07895), and shares by its five groups and by category."""
    points = replace(make_line("all", "all", answers), scale=1000.0, unit="points")
    named = [replace(each, question=_with(each.question, "group", _ocr_group(each))) for each in answers]
    return [points, *by_groups("group", "category")(named)[1:]]


def hallusionbench(answers: Sequence[Scored]) -> list[Line]:
    """Accuracy of all questions, of figures and of questions (arXiv 2310.14566), and of all by category.

    A figure counts where everything asked about it is right, a question where it is right about every figure of its
    set. What is resampled is a set: its figures are variants of each other.
    """
    figures = [_worst(group) for group in _gathered(answers, lambda each: each.group("figure")).values()]
    questions = [_worst(group) for group in _gathered(answers, lambda each: each.group("question")).values()]
    by_set = [
        replace(line, clusters=tuple(each.group("set") for each in items))
        for line, items in (
            (make_line("all", "all", answers), answers),
            (make_line("rule", "figures", figures), figures),
            (make_line("rule", "questions", questions), questions),
        )
    ]
    groups = [
        replace(make_line(kind, name, group), clusters=tuple(each.group("set") for each in group))
        for kind in ("category", "l2-category")
        for name, group in grouped(answers, kind).items()
    ]
    return [*by_set, *groups]


def with_hallusion_sets(question: Question, row: Row) -> Question:
    """A question with its set, figure and question by number: columns of the row, or parts 4 to 6 of its index.

    Raises UsageError where the index has another form.
    """
    names = ("set_id", "figure_id", "question_id")
    parts = [row.fields[name] for name in names if name in row.fields]
    if len(parts) < len(names):
        parts = row.index.split("_")[3:6]
    if len(parts) < len(names):
        raise UsageError(
            f"index {row.index}: figures and questions are told by parts 4 to 6 between underscores, or by columns "
            f"{', '.join(names)}"
        )
    # Numbers begin anew in each category.
    kinds = (row.fields[name] for name in ("category", "l2-category") if name in row.fields)
    figure_set = " ".join((*kinds, parts[0]))
    numbered = _with(question, "set", figure_set)
    return _with(_with(numbered, "figure", f"{figure_set} {parts[1]}"), "question", f"{figure_set} {parts[2]}")


def _with(question: Question, kind: str, name: str) -> Question:
    return replace(question, groups={**question.groups, kind: name})


def _gathered(answers: Iterable[Scored], key: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for each in answers:
        groups.setdefault(key(each), []).append(each)
    return groups


def _worst(group: Sequence[Scored]) -> Scored:
    """A group as one answer: right where all of it is."""
    return replace(group[0], score=min(each.score for each in group))


def _first_index(each: Scored) -> str:
    index = each.question.id
    return str(int(index) % ROTATION) if index.isdecimal() else index


def _ocr_group(each: Scored) -> str:
    category = each.group("category")
    recognised = category.endswith(RECOGNITION) or category in ("Handwriting Recognition", "Digit String Recognition")
    return RECOGNITION if recognised else category
