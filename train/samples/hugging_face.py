"""Hugging Face `datasets` on disk: folders that `save_to_disk` wrote, and folders of Parquet files.

Columns by their usual names: image or images; conversations, messages, texts, question with answer or answers, caption
or text. Pictures are taken as the bytes that are stored; nothing is decoded before it is wanted.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from magicvl.edge.pixels import PictureSource
from magicvl.errors import SampleError, UsageError
from magicvl.train.generator.dataset import Split
from magicvl.train.samples.row import make_sample, picture_path
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Samples
from magicvl.train.samples.spec import Defaults, Spec

COLUMNS = ("images", "image", "img", "picture")
MOST_PICTURE = 64 << 20
"""Bytes of one picture."""
MOST_GROUP = 4 << 30
"""Bytes of a Parquet file's row group, which is read as a whole."""


class Rows(ABC):
    """Rows by number, as Arrow keeps them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, index: int) -> dict[str, Any]:
        """A row, its pictures undecoded."""


class SavedRows(Rows):
    """What `save_to_disk` wrote; mapped into memory, not read into it."""

    def __init__(self, folder: Path) -> None:
        import datasets

        # As Arrow keeps it: a picture's column would be decoded otherwise.
        self._data = datasets.Dataset.load_from_disk(folder).with_format("arrow")

    def __len__(self) -> int:
        return len(self._data)

    def row(self, index: int) -> dict[str, Any]:
        """A row."""
        found: list[dict[str, Any]] = self._data[index : index + 1].to_pylist()
        return found[0]


class ParquetRows(Rows):
    """Parquet files; the row group that was read last is kept."""

    def __init__(self, paths: list[Path]) -> None:
        import pyarrow.parquet as pq

        self._paths = paths
        self._groups: list[tuple[int, int]] = []
        """File and number in it of each row group."""
        sizes: list[int] = []
        for number, path in enumerate(paths):
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                if metadata.row_group(group).total_byte_size > MOST_GROUP:
                    raise SampleError(f"{path}: row group {group} is over {MOST_GROUP:,} bytes; write smaller ones")
                self._groups.append((number, group))
                sizes.append(metadata.row_group(group).num_rows)
        self._ends = list(accumulate(sizes))
        self._held: tuple[int, Any] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def row(self, index: int) -> dict[str, Any]:
        """A row."""
        number = bisect_right(self._ends, index)
        begin = self._ends[number - 1] if number else 0
        found: list[dict[str, Any]] = self._table(number).slice(index - begin, 1).to_pylist()
        return found[0]

    def _table(self, number: int) -> Any:
        if self._held is None or self._held[0] != number:
            import pyarrow.parquet as pq

            self._held = None
            file, group = self._groups[number]
            with pq.ParquetFile(self._paths[file]) as parquet:
                self._held = number, parquet.read_row_group(group)
        return self._held[1]


class HuggingFace(Samples):
    """The samples of a folder."""

    def __init__(self, rows: Rows, folder: Path, defaults: Defaults) -> None:
        self._rows = rows
        self._folder = folder
        self._defaults = defaults

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> Sample:
        """The sample of a row, counted from 0. Raises SampleError."""
        where = f"{self._folder}: row {index + 1:,}"
        try:
            row = self._rows.row(index)
        except (OSError, ValueError) as error:
            raise SampleError(f"{where}: it can't be read ({error})") from None
        column = next((name for name in COLUMNS if row.get(name) is not None), None)
        value = None if column is None else row[column]
        values = [] if value is None else value if isinstance(value, list) else [value]
        pictures = [self._picture(each, f"{where}: {column}") for each in values]
        return make_sample(row, pictures, self._defaults, where, index + 1)

    def _picture(self, value: object, where: str) -> PictureSource:
        data = value.get("bytes") if isinstance(value, Mapping) else value
        if isinstance(data, bytes):
            if len(data) > MOST_PICTURE:
                raise SampleError(f"{where}: a picture of {len(data):,} bytes; at most {MOST_PICTURE:,} are read")
            return data
        name = value.get("path") if isinstance(value, Mapping) else value
        if not isinstance(name, str) or not name:
            raise SampleError(f"{where} is a {type(value).__name__}; a picture's bytes or path are due")
        return picture_path(self._defaults.pictures or self._folder, name, where)


def open_folder(spec: Spec, split: Split) -> HuggingFace:
    """Finds the rows of a folder. Raises SampleError where it holds none, UsageError for a split that it lacks."""
    folder = Path(spec.place)
    if not folder.is_dir():
        raise SampleError(f"{folder}: no such folder")
    try:
        return HuggingFace(_rows(folder, split), folder, spec.named())
    except ImportError as error:
        raise UsageError(f"{folder}: the package {error.name} is missing; install magicvl[train]") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SampleError(f"{folder}: damaged, or of another kind ({error})") from None


def _rows(folder: Path, split: Split) -> Rows:
    if (folder / "dataset_dict.json").is_file():
        if not (folder / split / "state.json").is_file():
            there = ", ".join(sorted(path.parent.name for path in folder.glob("*/state.json"))) or "none"
            raise UsageError(f"{folder}: no split {split}; there are: {there}")
        return SavedRows(folder / split)
    if (folder / "state.json").is_file():
        return SavedRows(folder)
    found = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    if not found:
        raise SampleError(f"{folder}: neither a dataset of save_to_disk (state.json) nor a Parquet file in it")
    return ParquetRows(_of_split(found, folder, split))


def _of_split(paths: list[Path], folder: Path, split: Split) -> list[Path]:
    """The files whose name or folder begins with the split's, where any file's does for any split; else all."""
    parts = {path: path.relative_to(folder).parts for path in paths}
    named = {"train", "validation", "test", "style"}
    if not any(part.split("-")[0].split(".")[0] in named for each in parts.values() for part in each):
        return paths
    found = [path for path in paths if any(part.split("-")[0].split(".")[0] == split for part in parts[path])]
    if not found:
        raise UsageError(f"{folder}: no Parquet file of the split {split}; there are {paths[0].name} and others")
    return found
