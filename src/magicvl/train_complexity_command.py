"""`magicvl train complexity`: what stands between the command line and magicvl.train.complexity."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicvl.errors import UsageError

if TYPE_CHECKING:
    from magicvl.train.complexity.choose import Choice

Note = Callable[[str], None]
_SHOWN_FAILURES = 3


@dataclass(frozen=True)
class ComplexityCall:
    """The command's options."""

    specs: tuple[str, ...]
    output: Path
    count: int
    """Samples of a dataset."""
    seed: int
    llm: Path | None
    models: tuple[Path, ...]
    """None, two or three checkpoints, the smallest first."""
    settings: Path | None
    figure: Path | None
    ocr: bool
    force: bool

    @property
    def terms(self) -> Path:
        """Where what was measured of each sample is kept, for the next run."""
        return self.output.with_name(f"{self.output.stem}.terms.jsonl")

    @property
    def samples(self) -> Path:
        """Where each sample's scores go."""
        return self.output.with_name(f"{self.output.stem}.samples.jsonl")


def score(call: ComplexityCall, note: Note, *, as_json: bool = False) -> str:
    """Measures, writes the table and the others, and gives the table as text, or as the JSON that was written.

    Raises UsageError for options that cannot be meant, before anything is loaded.
    """
    check(call)
    from magicvl.train.complexity.choose import choose
    from magicvl.train.complexity.default_llm import default_language
    from magicvl.train.complexity.measure import measure
    from magicvl.train.complexity.ocr import Ocr
    from magicvl.train.complexity.report import make_report, write_samples
    from magicvl.train.complexity.rows import Rows
    from magicvl.train.complexity.settings import Settings, read_settings
    from magicvl.train.complexity.sizes import check_sizes
    from magicvl.train.complexity.table import table_to_json, write_table
    from magicvl.train.complexity.text import to_text

    settings = Settings() if call.settings is None else read_settings(call.settings)
    sizes = check_sizes(call.models)
    ocr = Ocr() if call.ocr else None
    language = call.llm or default_language()
    choice = choose(call.specs, call.count, call.seed)
    with Rows(call.terms) as rows:
        result = measure(choice.datasets, rows, language, call.models, _watch, ocr)
    _note_left_out(choice, result.failures, note)
    models = [{"name": path.name, "parameters": size} for path, size in zip(call.models, sizes, strict=True)]
    record = {"llm": language.name, "models": models, "count": call.count, "seed": call.seed, "ocr": call.ocr}
    report = make_report(choice.datasets, result.samples, settings, record)
    write_table(report.table, call.output)
    write_samples(report, call.samples)
    if call.figure is not None:
        from magicvl.train.complexity.figure import draw

        draw(report, call.figure)
    return json.dumps(table_to_json(report.table), ensure_ascii=False) if as_json else to_text(report.table)


def check(call: ComplexityCall) -> None:
    """Raises UsageError for options that cannot be meant."""
    if call.figure is not None and find_spec("matplotlib") is None:
        raise UsageError("no matplotlib: pip install 'magicvl[train]' draws the figure")
    for path in (call.output, call.figure):
        if path is not None and path.exists() and not call.force:
            raise UsageError(f"{path} exists; --force overwrites it, and keeps what was measured")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such directory")


def _watch(name: str) -> "partial[Iterable[Any]]":
    """A progress line on stderr where that is a terminal."""
    return partial(_shown, name)


def _shown(name: str, samples: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    shown: Iterable[Any] = tqdm(samples, name, total, unit="sample", dynamic_ncols=True, disable=None)
    return shown


def _note_left_out(choice: "Choice", failures: Sequence[str], note: Note) -> None:
    """Says which samples are not in the table, or stand where they hardly belong."""
    if choice.unreadable:
        note(f"{choice.unreadable:,} stored samples cannot be read and are left out")
    for dataset in choice.datasets:
        if dataset.strays:
            told = f"{dataset.strays:,} of {dataset.samples:,} samples are of another category"
            note(f"{dataset.source}: {told} than {dataset.category}, as which it is scored")
    for failure in failures[:_SHOWN_FAILURES]:
        note(f"left out: {failure}")
    if len(failures) > _SHOWN_FAILURES:
        note(f"and {len(failures) - _SHOWN_FAILURES:,} more")
