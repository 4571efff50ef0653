"""Real files in each format, and generated datasets that cost little to draw."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.samples.generated import Generated
from magicvl.train.samples.sample import Box, Sample, Turn


def _draw(random: Random, _split: Split) -> Drawn:
    colours = [tuple(random.randrange(256) for _ in range(3)) for _ in range(random.randint(1, 3))]
    pictures = tuple(Image.new("RGB", (random.randint(20, 60), 24), colour) for colour in colours)
    turns = (
        Turn("What colour?", str(colours[0]), "anls", "colour", ("some colour",)),
        Turn("How many pictures?", str(len(pictures))),
    )
    return Drawn(pictures, turns, (Box("patch", 0, 1.5, 20, 24), Box("none", 0, 0, 1, 1, "text", 0)))


def _say(random: Random, _split: Split) -> Drawn:
    number = random.randrange(1000)
    return Drawn((), (Turn(f"What follows {number}?", str(number + 1)),), ())


@pytest.fixture(scope="session")
def drawn() -> Generated:
    """An endless source of pictures with talk, and of text."""
    return Generated((Dataset("patches", "vqa", _draw), Dataset("numbers/next", "text", _say)), 7, "train")


@pytest.fixture
def llava(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as a LLaVA file beside three pictures, a.png, b/b.png and c.jpg; gives the file's path."""

    def write(rows: object, name: str = "data.json") -> Path:
        (tmp_path / "b").mkdir(exist_ok=True)
        for number, picture in enumerate(("a.png", "b/b.png", "c.jpg")):
            Image.new("RGB", (30 + number, 20), "red").save(tmp_path / picture)
        path = tmp_path / name
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif name.endswith("l"):
            assert isinstance(rows, list)
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        else:
            path.write_text(json.dumps(rows, indent=1))
        return path

    return write


@pytest.fixture(scope="session")
def said() -> Callable[..., list[dict[str, Any]]]:
    """LLaVA's conversations of prompts and answers in turn."""

    def make(*texts: str) -> list[dict[str, Any]]:
        return [{"from": "gpt" if number % 2 else "human", "value": text} for number, text in enumerate(texts)]

    return make


def same(one: Sample, other: Sample) -> bool:
    """Whether two samples say and show the same."""
    from magicvl.edge.pixels import open_picture

    words = (one.id, one.category, one.source, one.turns, one.boxes, one.events)
    if words != (other.id, other.category, other.source, other.turns, other.boxes, other.events):
        return False
    left, right = ([open_picture(each).tobytes() for each in sample.pictures] for sample in (one, other))
    return left == right


@pytest.fixture(scope="session")
def equal() -> Callable[[Sample, Sample], bool]:
    """Compares samples, pictures by their pixels."""
    return same
