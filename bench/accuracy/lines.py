"""Tables by group: one line for everything, and one for each value of each kind of group."""

from collections.abc import Callable, Iterable, Sequence

from magicvl.bench.accuracy.question import Line, Scored


def make_line(level: str, name: str, answers: Iterable[Scored]) -> Line:
    """The line of some answers."""
    chosen = list(answers)
    return Line(level, name, tuple(each.score for each in chosen), tuple(each.cluster for each in chosen))


def grouped(answers: Sequence[Scored], kind: str) -> dict[str, list[Scored]]:
    """Answers by their group of a kind, in alphabetical order; those without one are left out."""
    found: dict[str, list[Scored]] = {}
    for each in answers:
        if name := each.group(kind):
            found.setdefault(name, []).append(each)
    return dict(sorted(found.items()))


def by_groups(*kinds: str, everything: bool = True) -> Callable[[Sequence[Scored]], list[Line]]:
    """Makes the lines of a suite: all of it, and each group of these kinds where there is more than one."""

    def lines(answers: Sequence[Scored]) -> list[Line]:
        made = [make_line("all", "all", answers)] if everything else []
        for kind in kinds:
            groups = grouped(answers, kind)
            if len(groups) > 1 or not everything:
                made += [make_line(kind, name, group) for name, group in groups.items()]
        return made

    return lines
