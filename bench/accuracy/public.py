"""A benchmark's table as a suite."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from magicvl.bench.accuracy.benchmarks import BENCHMARKS
from magicvl.bench.accuracy.question import Item, Suite
from magicvl.bench.accuracy.tsv import read_table
from magicvl.errors import UsageError

ENDING = ".tsv"


def public_suite(text: str, rows: int | None, *, bind: bool) -> Suite:
    """The suite of `FILE.tsv`, or of `NAME=FILE.tsv` where the file's name does not tell the benchmark.

    `rows` is how many of the first rows are asked, None for all. Every row is checked before any is asked. Raises
    UsageError.
    """
    name, _, path = text.rpartition("=")
    benchmark = BENCHMARKS[_benchmark(name or None, Path(path))]
    table = read_table(Path(path))
    chosen = list(islice(table.rows, rows))
    try:
        questions = [benchmark.ask(row, bind) for row in chosen]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None

    def draw() -> Iterator[Item]:
        for row, question in zip(chosen, questions, strict=True):
            yield Item(row.picture, table.pictures(row), (question,))

    notes = []
    if table.without_picture:
        notes.append(f"{table.without_picture:,} rows without a picture are left out, as VLMEvalKit does")
    if bind:
        notes.append("answers of choices are bound to them, which is not the benchmark's protocol")
    return Suite(Path(path).stem, len(chosen), draw, benchmark.lines, notes=tuple(notes))


def _benchmark(name: str | None, path: Path) -> str:
    """The benchmark by name, or by how the file's name begins: DocVQA_VAL is docvqa, OCRBench_v2 is another one."""
    if name is not None:
        found = [each for each in BENCHMARKS if each == name.lower()]
    else:
        found = [each for each in BENCHMARKS if re.fullmatch(rf"{each}(_(?!v2|pro).*)?", path.stem.lower())]
    if not found:
        raise UsageError(
            f"{name or path}: the rules of which benchmark? There are {', '.join(BENCHMARKS)}; begin the file's name "
            f"with one, or write one before it, as in mmbench={path.name}"
        )
    return found[0]
