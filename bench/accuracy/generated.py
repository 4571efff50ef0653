"""Suites of generated pictures: seeds, fonts, words and objects that no training run draws from."""

from collections.abc import Iterator, Sequence

from magicvl.bench.accuracy.lines import by_groups
from magicvl.bench.accuracy.question import Item, Question, Suite
from magicvl.bench.scoring import score
from magicvl.errors import UsageError
from magicvl.train.generator.dataset import SPLITS, Dataset, Split
from magicvl.train.generator.registry import DATASETS
from magicvl.train.samples.sample import CATEGORIES, Metric, Sample, Turn

SEED = 0
"""Of every suite; a split's pictures are others than training's whatever the seed."""
SAMPLES = 20
"""Samples of each dataset where nothing else is said."""
EVERYTHING = "generated"
"""Name of all datasets together."""
MAX_TOKENS: dict[Metric, int] = {"exact": 64, "anls": 96, "relaxed": 32, "cer": 384, "iou": 48, "f1": 192}
"""Most tokens of an answer by its metric: room for the longest truths in a vocabulary of bytes, where a printed
paragraph takes most."""


def generated_suite(name: str, samples: int | None) -> Suite | None:
    """The suite `[SPLIT:]WHAT`, so many samples of each dataset; None where the generator has nothing of that name.

    WHAT is a category, a dataset, or `generated` for all; the split is `test`. `style` alone is `style:generated`.
    Raises UsageError for a split of training, and where drawings are missing.
    """
    split, _, what = name.rpartition(":")
    if not split and what in SPLITS:
        split, what = what, EVERYTHING
    if split and split not in SPLITS:
        return None
    if split == "train":
        raise UsageError(f"suite {name}: what is trained on tells nothing; take test, style or validation")
    chosen = _datasets(what)
    if not chosen:
        return None
    known = SPLITS[SPLITS.index(split)] if split else "test"
    for dataset in chosen:
        # What cannot be drawn is said before anything is asked.
        dataset.sample(SEED, 0, known)
    return _suite(name, chosen, known, SAMPLES if samples is None else samples)


def names() -> list[str]:
    """The names of suites for a message."""
    return [EVERYTHING, "style", *CATEGORIES]


def _datasets(what: str) -> list[Dataset]:
    return [
        dataset
        for dataset in DATASETS.values()
        if what in (EVERYTHING, dataset.category, dataset.name, f"generated/{dataset.name}")
    ]


def _suite(name: str, datasets: Sequence[Dataset], split: Split, count: int) -> Suite:
    def draw() -> Iterator[Item]:
        for dataset in datasets:
            for index in range(count):
                yield to_item(dataset.sample(SEED, index, split))

    return Suite(name, len(datasets) * count, draw, by_groups("category", "dataset", "task"))


def to_item(sample: Sample) -> Item:
    """A sample as questions; its turns are asked one by one, each by itself."""
    return Item(
        sample.id,
        sample.pictures,
        tuple(_question(sample, place, turn) for place, turn in enumerate(sample.turns)),
    )


def _question(sample: Sample, place: int, turn: Turn) -> Question:
    groups = {
        "category": sample.category,
        "dataset": sample.source.removeprefix("generated/"),
        "task": f"{sample.category} {turn.task or turn.metric}",
        "metric": turn.metric,
    }
    return Question(
        f"{sample.id}/{place}",
        turn.prompt,
        turn.answer,
        lambda answer: score(turn, answer),
        MAX_TOKENS[turn.metric],
        groups,
    )
