"""Small files in the forms of what is measured with."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[str, Sequence[dict[str, Any]]], Path]:
    """Writes rows as JSON Lines."""

    def write(name: str, rows: Sequence[dict[str, Any]]) -> Path:
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return tmp_path / name

    return write
