"""Small tables in the form of the public benchmarks."""

import base64
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def picture_text(make_picture: Callable[..., Image.Image]) -> Callable[[int], str]:
    """A PNG of 32 x 32 px in base64, by number."""

    def text(number: int) -> str:
        data = io.BytesIO()
        make_picture(32, 32, number).save(data, format="PNG")
        return base64.b64encode(data.getvalue()).decode()

    return text


@pytest.fixture
def write_table(tmp_path: Path) -> Write:
    """Writes rows as pandas does: tabs, quotes where a field needs them."""

    def write(name: str, rows: Sequence[dict[str, object]]) -> Path:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / name

    return write
