"""Captions beside the process: the same as in it, with a caption adapter and without."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from magicvl.convert.bundle import convert
from magicvl.edge.answer import Options, drain
from magicvl.edge.engine import Engine
from magicvl.edge.variant import find_server
from magicvl.edge.video.description import film_message
from magicvl.edge.video.open_film import open_film

pytestmark = pytest.mark.usefixtures("brief")
Make = Callable[..., Image.Image]
REAL = [
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no llama-server: install one, or name it with MAGICVL_SERVER"),
]


def write_adapter(folder: Path, checkpoint: Path, seed: int) -> Path:
    """A LoRA directory as PEFT writes it, of the decoder's queries."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]})
    )
    torch.manual_seed(seed)
    tensors = {}
    for name, weight in load_file(checkpoint / "model.safetensors").items():
        if "language_model" in name and name.endswith(("q_proj.weight", "down_proj.weight")):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.randn(3, weight.shape[1]) * 0.2
            tensors[f"{module}.lora_B.weight"] = torch.randn(weight.shape[0], 3) * 0.2
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture(scope="module", params=["caption adapter", "both adapters"])
def bundle(request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("captioning")
    convert(
        tiny_checkpoint,
        place / "bundle",
        mmproj_type="F32",
        adapter=write_adapter(place / "one", tiny_checkpoint, 1) if request.param == "both adapters" else None,
        caption_adapter=write_adapter(place / "two", tiny_checkpoint, 2),
    )
    return place / "bundle"


@pytest.fixture
def film(tmp_path: Path, make_picture: Make) -> Path:
    pictures = [make_picture(96, 64, seed=number) for number in range(4)]
    pictures[0].save(tmp_path / "film.gif", save_all=True, append_images=pictures[1:], duration=500)
    return tmp_path / "film.gif"


@pytest.fixture(params=["stand-in", pytest.param("real", marks=REAL)])
def served(
    request: pytest.FixtureRequest, bundle: Path, standin: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    if request.param == "stand-in":
        monkeypatch.setenv("MAGICVL_SERVER", str(standin))
    with Engine(bundle, threads=1, runtime="server") as engine:
        yield engine


def plainly(engine: Engine, film: Path) -> str:
    """What is said of the same frames in the same words where no caption is asked for."""
    frames = list(open_film(film, note=print).frames([0.5, 1.5]))
    seen = [engine.opened.cut(frame.picture, engine.lock.grid.tile_tokens) for frame in frames]
    request = engine.read([film_message([0.5, 1.5])], seen)
    return drain(engine.generate(request, Options(regex="[a-z ]{20,24}"), None, 0.0)).text


def test_films_and_pictures_are_answered_as_in_process(bundle: Path, served: Engine, film: Path) -> None:
    """In turns, so that nothing that was read for one is gone on with for the other."""
    with Engine(bundle, threads=1, runtime="inproc") as inproc:
        said: list[list[Any]] = []
        for engine in (inproc, served):
            before = plainly(engine, film)
            made = [engine.caption(film, max_tokens=200, frames=2) for _ in range(2)]
            said.append([before, plainly(engine, film), *(each.description for each in made)])
            assert all(each.adapted for each in made)
            assert made[1].usage.cached_tokens == made[0].usage.prompt_tokens - 1
    assert said[0] == said[1]
    assert said[0][0] == said[0][1] and said[0][2] == said[0][3]
