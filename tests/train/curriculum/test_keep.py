"""What a state remembers of its stage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import Accelerator

from magicvl.errors import UsageError
from magicvl.train.curriculum.keep import save_state, saved_step
from magicvl.train.curriculum.read_stage import CONFIGS
from magicvl.train.curriculum.stage import Stage


def test_a_table_may_lie_elsewhere_and_not_say_something_else(make_stage: Callable[..., Stage], tmp_path: Path) -> None:
    said = (CONFIGS / "complexity.json").read_text()
    first, moved = tmp_path / "first.json", tmp_path / "moved.json"
    first.write_text(said)
    moved.write_text(said)
    stage = make_stage(complexity=str(first))
    save_state(Accelerator(), tmp_path / "run", 3, stage)
    elsewhere = replace(stage, complexity=str(moved))
    assert saved_step(tmp_path / "run", elsewhere) == 3
    moved.write_text(said.replace('"level": "high"', '"level": "low"', 1))
    with pytest.raises(UsageError, match="its run had another complexity"):
        saved_step(tmp_path / "run", elsewhere)
