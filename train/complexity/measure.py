"""Measuring the chosen samples: one pass for words and pictures, then one for each model's losses.

One model is in memory at a time, and each sample is on disk before the next (see `magicvl.train.complexity.rows`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from magicvl.errors import MagicVLError, PictureError, SampleError
from magicvl.train.complexity.choose import Chosen
from magicvl.train.complexity.ocr import Ocr
from magicvl.train.complexity.pictures import see
from magicvl.train.complexity.rows import Rows, Values, fingerprint, sample_digest
from magicvl.train.complexity.terms import Terms, gap_share
from magicvl.train.samples.sample import Sample

METHOD = 1
"""Counts up when a term is measured otherwise, so that older rows are measured anew."""
Read = Callable[[Sample], Values]
Progress = Callable[[Iterable[Sample], int], Iterable[Sample]]
"""Passes samples on and shows how many of so many have gone by."""
Watch = Callable[[str], Progress]
"""Makes one for a pass, by its name."""


@dataclass(frozen=True)
class Measured:
    """A sample's raw values."""

    source: str
    id: str
    terms: Terms
    """Without `task`."""
    losses: tuple[float, ...] = ()
    """Of each model, in nats a token; empty where one could not read it."""

    def with_task(self, beta: float, delta: float) -> Terms:
        """The terms with the share that S_task is made of."""
        return Terms(**asdict(self.terms) | {"task": gap_share(self.losses, beta, delta)})


@dataclass(frozen=True)
class Result:
    """All samples that could be read, and the others."""

    samples: tuple[Measured, ...]
    failures: tuple[str, ...]
    """What was wrong, a line for each sample that is left out."""


def measure(
    chosen: Sequence[Chosen],
    rows: Rows,
    language: Path,
    models: Sequence[Path],
    watch: Watch,
    ocr: Ocr | None = None,
) -> Result:
    """Measures what `rows` lacks; a sample that cannot be read is left out.

    A model is loaded when the first sample needs it, so that a finished run costs no loading. Raises what loading one
    raises.
    """
    part = f"terms {METHOD} {fingerprint(language)}{' ocr' if ocr else ''}"
    terms = _pass(chosen, rows, part, partial(_terms, language, ocr), watch("words and pictures"))
    losses = [
        _pass(
            chosen, rows, f"loss {METHOD} {fingerprint(model)}", partial(_loss, model), watch(f"loss of {model.name}")
        )
        for model in models
    ]
    samples: list[Measured] = []
    failures: list[str] = []
    for digest, row in terms.items():
        every = [row.values, *(part[digest].values for part in losses)]
        errors = [values["error"] for values in every if "error" in values]
        if errors:
            failures.append(f"{row.source}, {row.id}: {errors[0]}")
            continue
        known = [values["loss"] for values in every[1:]]
        samples.append(Measured(row.source, row.id, Terms(**row.values), () if None in known else tuple(known)))
    return Result(tuple(samples), tuple(failures))


@dataclass(frozen=True)
class _Row:
    source: str
    id: str
    values: Values


def _pass(
    chosen: Sequence[Chosen], rows: Rows, part: str, load: Callable[[], Read], watch: Progress
) -> dict[str, _Row]:
    """One part of every sample by its digest, from the rows or by what `load` gives."""
    found: dict[str, _Row] = {}
    read: Read | None = None
    total = sum(len(dataset.readers) for dataset in chosen)
    for sample in watch((reader() for dataset in chosen for reader in dataset.readers), total):
        digest = sample_digest(sample)
        values = rows.get(digest, part)
        if values is None:
            read = read or load()
            values = _read(sample, read)
            rows.add(digest, sample, part, values)
        found[digest] = _Row(sample.source, sample.id, values)
    return found


def _read(sample: Sample, read: Read) -> Values:
    """What is read of a sample, or the error of its pictures; any other error says which sample it was."""
    try:
        return read(sample)
    except (PictureError, SampleError) as error:
        return {"error": str(error)}
    except MagicVLError as error:
        raise type(error)(f"{sample.source}, {sample.id}: {error}") from None


def _terms(path: Path, ocr: Ocr | None) -> Read:
    """Reads the terms of words and pictures."""
    from magicvl.train.complexity.language import load_language

    language = load_language(path)

    def read(sample: Sample) -> Values:
        seen = see(sample, lambda text: len(language.tokens(text)), ocr.read if ocr else None)
        return asdict(language.read(sample.turns)) | asdict(seen)

    return read


def _loss(path: Path) -> Read:
    """Reads the loss of a sample's answers."""
    from magicvl.train.complexity.judge import load_judge

    judge = load_judge(path)
    return lambda sample: {"loss": judge.loss(sample)}
