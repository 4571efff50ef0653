"""From measured samples to the table of datasets and to each sample's own scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from magicvl.edge.files import whole_file
from magicvl.errors import SampleError, UsageError
from magicvl.train.complexity.choose import Chosen
from magicvl.train.complexity.cut import cut
from magicvl.train.complexity.measure import Measured
from magicvl.train.complexity.score import Scorer, Scores
from magicvl.train.complexity.settings import Settings
from magicvl.train.complexity.table import Entry, Table
from magicvl.train.complexity.terms import Terms, mean_terms
from magicvl.train.samples.sample import CATEGORIES, Category


@dataclass(frozen=True)
class SampleScore:
    """One sample beside the datasets."""

    source: str
    category: Category
    """Of its dataset."""
    id: str
    scores: Scores


@dataclass(frozen=True)
class Report:
    """What a run gives."""

    table: Table
    """Datasets by category and rising score."""
    samples: tuple[SampleScore, ...]


@dataclass(frozen=True)
class _Dataset:
    chosen: Chosen
    means: Terms
    measured: int
    scores: Scores


def make_report(
    chosen: Sequence[Chosen], measured: Sequence[Measured], settings: Settings, record: Mapping[str, Any]
) -> Report:
    """Scores datasets and samples and cuts every category; `record` goes into the table beside the settings.

    Raises SampleError where no sample of a dataset could be measured.
    """
    terms: dict[str, list[Terms]] = {dataset.source: [] for dataset in chosen}
    for sample in measured:
        terms[sample.source].append(sample.with_task(settings.beta, settings.delta))
    means = {source: mean_terms(its) for source, its in terms.items()}
    scorer = Scorer(list(means.values()), settings)
    datasets: list[_Dataset] = []
    for each in chosen:
        if not terms[each.source]:
            raise SampleError(f"{each.source}: none of its samples can be measured; leave it out")
        scores = scorer(each.category, means[each.source])
        datasets.append(_Dataset(each, means[each.source], len(terms[each.source]), scores))
    categories = {each.source: each.category for each in chosen}
    samples = [
        SampleScore(
            sample.source,
            categories[sample.source],
            sample.id,
            scorer(categories[sample.source], sample.with_task(settings.beta, settings.delta)),
        )
        for sample in measured
    ]
    return Report(_table(datasets, _told(settings, record)), tuple(samples))


def write_samples(report: Report, path: Path) -> None:
    """Writes each sample's scores as a line of JSON. Raises UsageError where it cannot be written."""
    try:
        with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
            for sample in report.samples:
                scores = sample.scores
                row = {"source": sample.source, "id": sample.id, "s_text": scores.text, "s_image": scores.image}
                file.write(json.dumps({**row, "s_task": scores.task, "s": scores.total}) + "\n")
    except OSError as error:
        raise UsageError(f"{path}: it cannot be written ({error.strerror})") from None


def _table(datasets: Sequence[_Dataset], told: Mapping[str, Any]) -> Table:
    there = [name for name in CATEGORIES if any(dataset.chosen.category == name for dataset in datasets)]
    cuts = {name: _cut([dataset for dataset in datasets if dataset.chosen.category == name]) for name in there}
    ordered = sorted(
        datasets,
        key=lambda each: (there.index(each.chosen.category), each.scores.total, each.chosen.source),
    )
    return Table({each.chosen.source: _entry(each, cuts[each.chosen.category]) for each in ordered}, cuts, told)


def _cut(category: Sequence[_Dataset]) -> float | None:
    """The cut of one category; a dataset without end weighs as much as the others do in the mean."""
    known = [dataset.chosen.samples for dataset in category if dataset.chosen.samples is not None]
    usual = sum(known) / len(known) if known else 1.0
    return cut(
        [
            (dataset.scores.total, usual if dataset.chosen.samples is None else float(dataset.chosen.samples))
            for dataset in category
        ]
    )


def _entry(dataset: _Dataset, highest_low: float | None) -> Entry:
    scores = dataset.scores
    low = highest_low is None or scores.total <= highest_low
    return Entry(
        dataset.chosen.category,
        scores.text,
        scores.image,
        scores.task,
        scores.total,
        "low" if low else "high",
        dataset.chosen.samples,
        dataset.measured,
        dataset.means,
    )


def _told(settings: Settings, record: Mapping[str, Any]) -> dict[str, Any]:
    weights = {category: asdict(weights) for category, weights in settings.weights.items()}
    chosen = {"normalisation": settings.normalisation, "beta": settings.beta, "delta": settings.delta}
    return {**chosen, "weights": weights, **record}
