"""A small pack of made-up drawings, for whoever draws scenes; a way to see that a loss is learned."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from magicvl.train.assets.catalogue import Backdrop, Catalogue, Name, Thing
from magicvl.train.assets.pack import SIDE, SMALL, Content, write_pack

NAMES = {
    "animal": "dog cat cow fox hen pig owl bat".split(),
    "artifact": "cup car bed bag key pen jar fan".split(),
    "food": "pie bun egg fig jam pea".split(),
}
SPLITS = ("train", "train", "validation", "test", "style")
COLOURS = {"red": (214, 36, 36), "green": (40, 160, 60), "blue": (40, 90, 215), None: (120, 60, 90)}


def _drawing(number: int, colour: tuple[int, int, int], side: int) -> bytes:
    picture = Image.new("RGBA", (60 + number % 5 * 30, 150))
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    pen.ellipse((0, 0, width - 1, height - 1), fill=(*colour, 255))
    pen.rectangle((width // 3, height // 3, width // 2, height // 2), fill=(250, 250, 250, 255))
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True)
    return file.getvalue()


def _photograph(number: int) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((300, 200 + 20 * number)).convert("RGB").save(file, "WEBP", quality=60)
    return file.getvalue()


def _content() -> Content:
    names, things, sprites = [], [], {}
    for group, nouns in NAMES.items():
        for noun in nouns:
            article = "an" if noun[0] in "aeiou" else "a"
            names.append(Name(noun, f"{noun}s", article, group, kin=("hen",) if noun == "owl" else ()))
            for split in SPLITS:
                number = len(things)
                colour, rgb = list(COLOURS.items())[number % len(COLOURS)]
                kind = "emoji" if split == "style" else "stamps"
                thing = Thing(
                    number, noun, kind, "drawing", "made up", split, 60 + number % 5 * 30, 150, colour, rgb, noun
                )
                things.append(thing)
                sprites[number] = _drawing(number, rgb, SIDE), _drawing(number, rgb, SMALL)
    backdrops = tuple(Backdrop(n, "train" if n % 2 else "test", f"photograph {n}") for n in range(4))
    catalogue = Catalogue(tuple(names), tuple(things), backdrops, {"made-up": "1"})
    return Content(catalogue, sprites, {n: _photograph(n) for n in range(4)}, {"made-up": "As you like it."})


@pytest.fixture(scope="session")
def small_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pack with 22 names, each with two drawings to train on and one for each other split."""
    folder = tmp_path_factory.mktemp("assets")
    write_pack(_content(), folder / "drawings.zip")
    return folder


@pytest.fixture
def drawings(small_pack: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That pack as the installed one."""
    monkeypatch.setenv("MAGICVL_ASSETS", str(small_pack))
    yield small_pack


@pytest.fixture
def learn() -> Callable[..., list[float]]:
    """What a loss is at each step while parameters learn from it."""

    def run(loss: Callable[[], torch.Tensor], module: torch.nn.Module, rate: float, steps: int) -> list[float]:
        optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(value.detach()))
        return losses

    return run
