"""All datasets by name; a stream is the same however many draw it."""

from collections import Counter
from itertools import islice

import pytest

from magicvl.errors import UsageError
from magicvl.train.generator.registry import DATASETS, datasets, stream
from magicvl.train.generator.speed import measure
from magicvl.train.samples.sample import CATEGORIES, Sample

PAIR = {"word": 3.0, "text/lists": 1.0}


def test_every_category_has_several_datasets() -> None:
    found = Counter(dataset.category for dataset in datasets())
    assert set(found) == set(CATEGORIES) and min(found.values()) >= 4
    assert sum(found.values()) == len(DATASETS) == len(datasets())
    assert not set(DATASETS) & {*CATEGORIES, "all"}
    assert all(name == dataset.name for name, dataset in DATASETS.items())
    assert {dataset.category for dataset in datasets("ocr")} == {"ocr"}


def ids(samples: list[Sample]) -> list[str]:
    return [sample.id for sample in samples]


def test_workers_share_one_stream() -> None:
    whole = list(islice(stream(PAIR, seed=3), 24))
    shared = [list(islice(stream(PAIR, seed=3, worker=worker, workers=3), 8)) for worker in range(3)]
    assert ids([sample for turn in zip(*shared, strict=True) for sample in turn]) == ids(whole)
    assert len(set(ids(whole))) == 24
    assert shared[0][1].turns == whole[3].turns


def test_a_stream_depends_on_its_seed_and_split() -> None:
    streams = [stream(PAIR), stream(PAIR, seed=1), stream(PAIR, split="test")]
    texts = [tuple(sample.turns for sample in islice(samples, 6)) for samples in streams]
    assert len(set(texts)) == 3


def test_weights_are_shares() -> None:
    sources = Counter(sample.source for sample in islice(stream(PAIR), 200))
    assert set(sources) == {"generated/word", "generated/text/lists"}
    assert 0.65 < sources["generated/word"] / 200 < 0.85


@pytest.mark.parametrize(
    ("weights", "worker", "says"),
    [
        ({"words": 1.0}, 0, "no generated dataset is called 'words'"),
        ({"word": -1.0}, 0, "below zero"),
        ({"word": 0.0}, 0, "above it"),
        ({}, 0, "above it"),
        (PAIR, 2, "worker 2 of 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(weights: dict[str, float], worker: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        stream(weights, worker=worker, workers=2)


@pytest.mark.slow
def test_print_is_drawn_fast_enough(printed_names: list[str]) -> None:
    speed = measure(1200, workers=1, weights=dict.fromkeys(printed_names, 1.0))
    assert speed.samples == 1200
    # The aim is 300 a second on two cores; CPU seconds, since others may share the machine.
    assert speed.per_cpu_second > 150, speed
    assert speed.per_second <= speed.per_cpu_second * 1.1
