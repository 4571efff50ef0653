"""Suites by name: what was always measured, what the generator holds out, and benchmarks on disk."""

from collections.abc import Sequence

from magicvl.bench.accuracy.benchmarks import BENCHMARKS
from magicvl.bench.accuracy.public import ENDING, public_suite
from magicvl.bench.accuracy.question import Suite
from magicvl.errors import UsageError

NANO = "nano"
"""What is measured where nothing is named."""
NANO_PICTURES = 200


def make_suites(names: Sequence[str], pictures: int | None, *, bind: bool) -> list[Suite]:
    """The suites of these names, nano where there are none; `pictures` is how much of each.

    That is pictures of nano, samples of each generated dataset, rows of a table. `bind` lets choices bind answers.
    Raises UsageError.
    """
    if pictures is not None and pictures < 1:
        raise UsageError(f"{pictures} pictures: it must be at least 1")
    wanted = list(names) or [NANO]
    for name in wanted:
        if wanted.count(name) > 1:
            raise UsageError(f"suite {name}: given twice")
    if bind and not any(name.endswith(ENDING) for name in wanted):
        raise UsageError("--letters has no effect: no benchmark with choices is among the suites")
    return [_make(name, pictures, bind=bind) for name in wanted]


def _make(name: str, pictures: int | None, *, bind: bool) -> Suite:
    if name.endswith(ENDING):
        return public_suite(name, pictures, bind=bind)
    if name == NANO:
        from magicvl.bench.accuracy.nano import nano_suite

        return nano_suite(NANO_PICTURES if pictures is None else pictures)
    from magicvl.bench.accuracy.generated import generated_suite, names

    suite = generated_suite(name, pictures)
    if suite is None:
        known = ", ".join((NANO, *names()))
        raise UsageError(
            f"suite {name!r}: there are {known}, datasets by name, and tables that end in {ENDING} of "
            f"{', '.join(BENCHMARKS)}"
        )
    return suite
