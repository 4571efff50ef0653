"""LLaVA's format: a JSON array, or one object a line, beside a folder of pictures.

[{"id": "1", "image": "a/b.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat is this?"}, ...]}]
"""

from pathlib import Path

from magicvl.errors import SampleError
from magicvl.train.samples.json_rows import JsonRows, index_rows
from magicvl.train.samples.row import make_sample, picture_names, picture_path
from magicvl.train.samples.sample import Sample
from magicvl.train.samples.source import Samples
from magicvl.train.samples.spec import Defaults, Spec


class Llava(Samples):
    """The samples of a file. A picture is opened by whoever wants to see it: that is when it is found missing."""

    def __init__(self, rows: JsonRows, folder: Path, defaults: Defaults) -> None:
        self._rows = rows
        self._folder = folder
        self._defaults = defaults

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> Sample:
        """The sample of a row, counted from 0. Raises SampleError."""
        where = self._rows.where(index)
        row = self._rows.read(index)
        pictures = [picture_path(self._folder, name, where) for name in picture_names(row, where)]
        return make_sample(row, pictures, self._defaults, where, index + 1)


def open_llava(spec: Spec) -> Llava:
    """Finds the rows of a file; none is parsed yet. Raises SampleError."""
    path = Path(spec.place)
    if not path.is_file():
        raise SampleError(f"{path}: no such file" if not path.exists() else f"{path}: no file, name the JSON in it")
    folder = spec.defaults.pictures or path.parent
    if not folder.is_dir():
        raise SampleError(f"{folder}: no such folder of pictures")
    return Llava(index_rows(path), folder, spec.named())
