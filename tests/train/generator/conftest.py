"""The datasets of print: those of the generator that need no pack of drawings."""

import pytest

from magicvl.train.generator.dataset import Dataset
from magicvl.train.generator.registry import DATASETS


def _module(dataset: Dataset) -> str:
    draw = getattr(dataset.draw, "func", dataset.draw)
    return str(draw.__module__)


PRINTED = {name: dataset for name, dataset in DATASETS.items() if ".scenes." not in _module(dataset)}


@pytest.fixture
def printed_names() -> list[str]:
    return list(PRINTED)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "printed" in metafunc.fixturenames:
        metafunc.parametrize("printed", list(PRINTED.values()), ids=list(PRINTED))
