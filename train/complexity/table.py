"""complexity.json: the scores and levels of datasets, what the stages of a training choose by.

{"version": 1, "settings": {...}, "cuts": {"ocr": 0.41, "text": null, ...},
 "datasets": {"generated/receipt": {"category": "ocr", "s_text": 0.5, "s_image": 0.7, "s_task": null, "s": 0.64,
                                    "level": "high", "samples": null, "measured": 200, "terms": {...}}, ...}}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from magicvl.edge.files import whole_file
from magicvl.errors import UsageError
from magicvl.train.complexity.terms import NAMES, Terms
from magicvl.train.samples.sample import CATEGORIES, Category

VERSION = 1
MOST_BYTES = 2**26
"""Largest file that is read: 64 MiB, a hundred thousand datasets."""
MOST = 1e300
"""Numbers beyond it are none of ours."""
Level = Literal["low", "high"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Entry:
    """One dataset. Scores are 0 to 1."""

    category: Category
    s_text: float
    s_image: float | None
    """None where it has no pictures."""
    s_task: float | None
    """None where no two models were given."""
    s: float
    level: Level
    samples: int | None = None
    """How many it has; None for one that is drawn without end, or where it is not known."""
    measured: int = 0
    """Of how many the scores are."""
    terms: Terms = field(default_factory=lambda: Terms(None, None, None, None, None, None))
    """Their raw means; None for what was left out."""

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ValueError(f"category {self.category!r}; there are {', '.join(CATEGORIES)}")
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r}; there are {', '.join(LEVELS)}")
        for name in ("s_text", "s_image", "s_task", "s"):
            value = getattr(self, name)
            if value is None and name in ("s_image", "s_task"):
                continue
            if not _is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"{name} {value!r}; it must be a number from 0 to 1")
        for name in ("samples", "measured"):
            value = getattr(self, name)
            if not (value is None and name == "samples") and (type(value) is not int or value < 0):
                raise ValueError(f"{name} {value!r}; it must be a whole number of at least 0")


@dataclass(frozen=True)
class Table:
    """All datasets by the name of their source."""

    datasets: Mapping[str, Entry]
    cuts: Mapping[Category, float | None] = field(default_factory=dict)
    """Of each category the score up to which a dataset is low; None where nothing is cut."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the scores were made with, for the record."""


def levels(table: Table) -> dict[str, Level]:
    """Low or high of every dataset, by the name of its source."""
    return {source: entry.level for source, entry in table.datasets.items()}


def table_to_json(table: Table) -> dict[str, object]:
    """The object of complexity.json."""
    return {
        "version": VERSION,
        "settings": dict(table.settings),
        "cuts": dict(table.cuts),
        "datasets": {source: asdict(entry) for source, entry in table.datasets.items()},
    }


def write_table(table: Table, path: Path) -> None:
    """Writes complexity.json, whole or not at all. Raises UsageError where it cannot be written."""
    data = table_to_json(table)
    try:
        with whole_file(path) as partial:
            partial.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: it cannot be written ({error.strerror})") from None


def read_table(path: Path) -> Table:
    """Reads complexity.json; what else stands in it is passed over.

    Raises UsageError with one line for a file that is none, is of a later version or holds what cannot be.
    """
    data = _read_json(path)
    if data.get("version") != VERSION:
        raise UsageError(f"{path}: version {data.get('version')!r} of complexity.json; this program reads {VERSION}")
    datasets, cuts, settings = data.get("datasets"), data.get("cuts", {}), data.get("settings", {})
    if not isinstance(datasets, dict) or not isinstance(cuts, dict) or not isinstance(settings, dict):
        raise UsageError(f"{path}: datasets, cuts and settings must each be an object")
    for category, value in cuts.items():
        if category not in CATEGORIES or not (value is None or _is_number(value)):
            raise UsageError(f"{path}: cut {value!r} of category {category!r}")
    return Table({str(source): _entry(path, source, raw) for source, raw in datasets.items()}, cuts, settings)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: larger than {MOST_BYTES // 2**20} MiB; that is no table of complexity")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read ({error.strerror}); magicvl train complexity makes one") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no valid JSON ({error})") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a JSON {type(data).__name__} where an object is due")
    return data


def _entry(path: Path, source: str, raw: Any) -> Entry:
    try:
        wanted = {name: raw[name] for name in ("category", "s_text", "s_image", "s_task", "s", "level")}
        terms = raw.get("terms", {})
        optional = {name: raw[name] for name in ("samples", "measured") if name in raw}
        return Entry(**wanted, **optional, terms=Terms(**{name: _term(name, terms.get(name)) for name in NAMES}))
    except KeyError as error:
        raise UsageError(f"{path}: dataset {source!r} lacks {error}") from None
    except (TypeError, AttributeError):
        raise UsageError(f"{path}: dataset {source!r} is no object of scores") from None
    except ValueError as error:
        raise UsageError(f"{path}: dataset {source!r}: {error}") from None


def _term(name: str, value: Any) -> float | None:
    if value is not None and not _is_number(value):
        raise ValueError(f"{name} {value!r}; it must be a number")
    return None if value is None else float(value)


def _is_number(value: Any) -> bool:
    # The comparison also refuses what is not finite, and whole numbers that no float holds.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST < value < MOST
