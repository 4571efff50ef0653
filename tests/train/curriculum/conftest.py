"""A small stage on samples of its own, in files that a process can read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl.train.curriculum.stage import Data, Rates, Stage, Start

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="session")
def colour_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA file of 24 conversations: none, one or two plain pictures, one or two turns."""
    folder = tmp_path_factory.mktemp("colours")
    rows: list[dict[str, Any]] = []
    for number in range(24):
        colours = [COLOURS[(number + k) % 4] for k in range(number % 3)]
        names = []
        for k, colour in enumerate(colours):
            names.append(f"{number}-{k}.png")
            Image.new("RGB", (32 + 32 * (number % 5), 40 + 64 * (number % 2)), colour).save(folder / names[-1])
        talk = [("What colour is it?", " and ".join(colours) or "none"), ("How many pictures?", str(len(colours)))]
        turns = [
            {"from": who, "value": text}
            for k, (asked, said) in enumerate(talk[: 1 + number % 2])
            for who, text in (("human", "<image>\n" * len(colours) * (k == 0) + asked), ("gpt", said))
        ]
        rows.append({"id": str(number), "conversations": turns} | ({"image": names} if names else {}))
    (folder / "all.json").write_text(json.dumps(rows))
    return folder / "all.json"


@pytest.fixture
def make_stage(tiny_checkpoint: Path, colour_samples: Path) -> Callable[..., Stage]:
    """A stage of four steps on the tiny checkpoint; keywords change its fields."""

    def make(**fields: Any) -> Stage:
        standard: dict[str, Any] = {
            "name": "colours",
            "start": Start(checkpoint=str(tiny_checkpoint)),
            "rates": Rates(encoder=1e-3, projector=1e-3, language=1e-3),
            "data": (Data(f"llava:{colour_samples}"),),
            "steps": 4,
            "samples": 6,
            "row_tokens": 96,
            "warmup": 1.0,
            "evaluate_every": 2,
            "evaluate_samples": 6,
        }
        return Stage(**(standard | fields))

    return make
