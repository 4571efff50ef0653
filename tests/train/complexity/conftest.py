"""Made-up datasets and small random models for scoring."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from magicvl.train.generator.dataset import Dataset, Drawn, Split
from magicvl.train.samples.sample import Box, Category, Turn

WORDS = "red blue green circle square star above below sign reads number two three 1905 4711".split()


@pytest.fixture(scope="session")
def tiny_llm(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_tokenizer: PreTrainedTokenizerFast,
    tiny_decoder: dict[str, object],
) -> Path:
    """A random Llama's directory, with a chat template. Do not write into it."""
    place = tmp_path_factory.mktemp("llm")
    torch.manual_seed(3)
    fields: dict[str, Any] = {name: value for name, value in tiny_decoder.items() if name != "model_type"}
    LlamaForCausalLM(LlamaConfig(**fields)).save_pretrained(place)
    tiny_tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def tiny_llm_model(tiny_llm: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_llm).eval()


@pytest.fixture(scope="session")
def growing(
    tmp_path_factory: pytest.TempPathFactory, build_tiny: Callable[..., Any], save_tiny: Callable[..., Path]
) -> tuple[Path, Path, Path]:
    """Three random MagicVL checkpoints, the decoder a layer larger each time."""
    place = tmp_path_factory.mktemp("growing")
    small, mid, large = (
        save_tiny(build_tiny(layers, text={"num_hidden_layers": layers}), place / name)
        for layers, name in ((1, "small"), (2, "mid"), (3, "large"))
    )
    return small, mid, large


def dataset(name: str, category: Category, words: int, side: int) -> Dataset:
    """Lines of so many words on pictures of that side, asked to be read; none of `text`."""

    def draw(rng: random.Random, _split: Split) -> Drawn:
        said = [rng.choice(WORDS) for _ in range(words)]
        turn = Turn("What is written?", " ".join(said))
        if category == "text":
            return Drawn((), (turn,), ())
        picture = Image.new("RGB", (side, side), (rng.randrange(256), 200, 90))
        draw = ImageDraw.Draw(picture)
        boxes = []
        for row, word in enumerate(said):
            draw.text((2, 10 * row), word, fill="black")
            boxes.append(Box(word, 2, 10 * row, side - 2, 10 * row + 10, "text"))
        draw.ellipse((side - 12, side - 12, side - 2, side - 2), fill="red")
        boxes.append(Box("circle", side - 12, side - 12, side - 2, side - 2))
        return Drawn((picture,), (turn,), tuple(boxes))

    return Dataset(name, category, draw)


@pytest.fixture(scope="session")
def made_up() -> dict[str, Dataset]:
    """Datasets by name: two that read, one that captions, one of text alone."""
    every = (
        dataset("sign", "ocr", 1, 64),
        dataset("page", "ocr", 6, 96),
        dataset("photo", "caption", 3, 64),
        dataset("riddle", "text", 4, 0),
    )
    return {each.name: each for each in every}


@pytest.fixture
def llava(tmp_path: Path) -> Path:
    """A LLaVA file of eight rows of pictures, one of them missing, and two without one."""
    for number in range(7):
        Image.effect_noise((48, 32), 10 * number).save(tmp_path / f"{number}.png")
    rows: list[dict[str, Any]] = [
        {"id": str(number), "image": f"{number}.png", "question": "What number is this?", "answer": f"It is {number}."}
        for number in range(8)
    ]
    rows += [{"id": f"t{number}", "question": "Two and two?", "answer": "Four."} for number in range(2)]
    (tmp_path / "notes.json").write_text(json.dumps(rows))
    return tmp_path / "notes.json"
