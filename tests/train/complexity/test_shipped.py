"""The table that the stages of the shipped configs choose by."""

from pathlib import Path

from magicvl.train.complexity.table import levels, read_table
from magicvl.train.generator.registry import DATASETS

CONFIGS = Path(__file__).parents[3] / "train" / "configs"


def test_it_knows_every_dataset_by_its_category() -> None:
    table = read_table(CONFIGS / "complexity.json")
    assert {name: entry.category for name, entry in table.datasets.items()} == {
        f"generated/{name}": dataset.category for name, dataset in DATASETS.items()
    }


def test_every_category_has_both_levels() -> None:
    found = levels(read_table(CONFIGS / "complexity.json"))
    for category in {dataset.category for dataset in DATASETS.values()}:
        of_it = {found[f"generated/{name}"] for name, dataset in DATASETS.items() if dataset.category == category}
        assert of_it == {"low", "high"}, category
