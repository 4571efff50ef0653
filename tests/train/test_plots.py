"""The curves of a run are drawn from its log, whatever was measured when."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from magicvl.train.plots import plot_run

ENTRIES = [
    {"step": 1, "answers": None, "dense": 2.0},
    {"step": 2, "answers": 3.0, "dense": 1.0, "accuracy": {"colour": [1, 8], "relation": [1, 1]}},
    {"step": 3, "answers": 2.0, "dense": 0.9, "accuracy": {"colour": [6, 8], "word": [0, 9]}},
]


def drawn(entries: list[dict[str, object]], folder: Path) -> np.ndarray:
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    plot_run(folder / "log.jsonl", folder / "curves.png")
    return np.asarray(Image.open(folder / "curves.png"))


def test_tasks_come_and_go_and_one_question_draws_no_line(tmp_path: Path) -> None:
    whole = drawn(ENTRIES, tmp_path)
    without = [{**entry, "accuracy": dict(entry["accuracy"])} if "accuracy" in entry else entry for entry in ENTRIES]
    del without[1]["accuracy"]["relation"]
    assert (whole == drawn(without, tmp_path)).all()
    del without[2]["accuracy"]["word"]
    other = drawn(without, tmp_path)
    assert other.shape != whole.shape or (whole != other).any()
