"""The log of a run: a JSON object a step, one a line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_log(path: Path) -> list[dict[str, Any]]:
    """All entries, in order; none where there is no log yet."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def append_log(path: Path, entry: Mapping[str, Any]) -> None:
    """Adds an entry; what a kill cuts short is dropped by `trim_log`."""
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def trim_log(path: Path, step: int) -> None:
    """Drops entries past the state that a run goes on from, and a line that a kill cut short."""
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
