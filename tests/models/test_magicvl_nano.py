"""The model that comes along: right about pictures drawn here, and the same in torch as in its bundle."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from PIL import Image, ImageDraw, ImageFont

import magicvl
from magicvl.convert.bundle import convert
from magicvl.convert.restore import restore
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.engine import Engine
from magicvl.edge.prompt import ask_messages
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.clips.make import make_clip
from magicvl.train.clips.write import write_film
from magicvl.train.fonts import nano_faces
from magicvl.train.nano.batches import draw_sample
from magicvl.train.nano.drawing import draw_scene
from magicvl.train.nano.scenes import POSITIONS

# Least right answers in per cent, set before the model was trained.
FLOORS = {"colour": 95, "shape": 95, "count": 95, "position": 95, "number": 80}

DEMO = ("Where is everything?", "yellow star top left, yellow star top right, red heart centre")
"""What `make demo` asks, and the right answer."""

COLOURS = {"red": "#d82222", "green": "#2a9d3c", "blue": "#2255d8", "black": "#111111", "yellow": "#f4dc28"}
PLACES = ("top left", "top right", "bottom left", "bottom right", "centre")
Question = tuple[Image.Image, str, str]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with magicvl.load(threads=1) as loaded:
        yield loaded


def spot(draw: ImageDraw.ImageDraw, kind: str, colour: str, x: float, y: float, radius: float) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "circle":
        draw.ellipse(box, fill=COLOURS[colour])
    elif kind == "square":
        draw.rectangle(box, fill=COLOURS[colour])
    else:
        draw.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], fill=COLOURS[colour])


def one_shape(rng: random.Random, task: str) -> Question:
    """One shape, drawn with nothing of the trainer's."""
    width, height = rng.randint(96, 200), rng.randint(96, 200)
    kind, colour = rng.choice(("circle", "square", "triangle")), rng.choice(list(COLOURS))
    picture = Image.new("RGB", (width, height), "#f8f8f8")
    # Yellow is hard to tell from white even for people.
    if colour == "yellow":
        picture.paste("#111111", (0, 0, width, height))
    elif colour == "black":
        picture.paste("#f4dc28", (0, 0, width, height))
    place = rng.choice(PLACES)
    x = width * (1 / 6 if "left" in place else 5 / 6 if "right" in place else 1 / 2)
    y = height * (1 / 6 if "top" in place else 5 / 6 if "bottom" in place else 1 / 2)
    spot(ImageDraw.Draw(picture), kind, colour, x, y, min(width, height) / 8)
    return {
        "colour": (picture, f"What colour is the {kind}?", colour),
        "shape": (picture, "What shape is this?", kind),
        "position": (picture, f"Where is the {kind}?", f"{kind} {place}"),
    }[task]


def several(rng: random.Random, _task: str) -> Question:
    width, height = rng.randint(128, 220), rng.randint(128, 220)
    kind, colour, count = rng.choice(("circle", "square", "triangle")), "blue", rng.randint(1, 5)
    picture = Image.new("RGB", (width, height), "#f8f8f8")
    cells = sorted(rng.sample(range(9), count))
    for cell in cells:
        x, y = width * (cell % 3 * 2 + 1) / 6, height * (cell // 3 * 2 + 1) / 6
        spot(ImageDraw.Draw(picture), kind, colour, x, y, min(width, height) / 9)
    listed = ", ".join(f"{kind} {POSITIONS[cell]}" for cell in cells)
    return picture, f"How many {kind}s are there?", f"{listed}: {count}"


def number(rng: random.Random, _task: str) -> Question:
    text = str(rng.randint(10, 9999))
    font = ImageFont.truetype(rng.choice(nano_faces(held_out=True)).path, 40)
    picture = Image.new("RGB", (160, 96), "#f8f8f8")
    width = font.getlength(text)
    where = (rng.uniform(5, 155 - width), rng.uniform(5, 40))
    ImageDraw.Draw(picture).text(where, text, font=font, fill=COLOURS[rng.choice(("red", "blue", "black"))])
    return picture, "What number is printed?", text


@pytest.mark.parametrize("task", FLOORS)
def test_it_is_right_about_pictures_drawn_here(task: str, engine: Engine) -> None:
    draw = {"count": several, "number": number}.get(task, one_shape)
    rng = random.Random(f"default {task}")
    asked = [draw(rng, task) for _ in range(60)]
    wrong = [
        (prompt, truth, answer)
        for picture, prompt, truth in asked
        if (answer := engine.ask(picture, prompt, max_tokens=48)) != truth
    ]
    assert 100 * (1 - len(wrong) / len(asked)) >= FLOORS[task], wrong[:10]


def test_it_names_who_is_in_a_short_film(engine: Engine, tmp_path: Path) -> None:
    right = 0
    for number in range(8):
        clip = make_clip(900, number, "test", "shapes/simple")
        write_film(clip, tmp_path / "film.gif", "gif")
        made = engine.caption(tmp_path / "film.gif", frames=8)
        assert made.adapted and made.description.caption
        times = tuple(frame.time for frame in made.frames)
        seen, true = (
            (each.name, each.attributes) for each in (made.description.subjects[0], clip.reference(times).subjects[0])
        )
        right += seen == true
    assert right >= 6


def test_it_says_where_a_subject_is_in_every_frame(engine: Engine, tmp_path: Path) -> None:
    true = found = near = 0
    for number in range(8):
        clip = make_clip(900, number, "test", "shapes/simple")
        write_film(clip, tmp_path / "film.gif", "gif")
        made = engine.caption(tmp_path / "film.gif", frames=8)
        seen = {each.time: each for each in made.description.subjects[0].track}
        for each in clip.description(tuple(frame.time for frame in made.frames)).subjects[0].track:
            true += 1
            if (said := seen.get(each.time)) is not None:
                found += 1
                # A track has tenths: the next one is 0.15 off at most.
                near += max(abs(said.x - each.x), abs(said.y - each.y)) <= 0.151
    assert true > 40 and found > 0.8 * true
    assert near > 0.8 * found


def test_its_files_are_of_the_types_and_the_size_that_its_card_says() -> None:
    types = {
        name: {tensor.tensor_type.name for tensor in GGUFReader(magicvl.DEFAULT_BUNDLE / f"{name}.gguf").tensors}
        for name in ("llm", "mmproj", "caption")
    }
    assert types == {"llm": {"Q8_0", "F32"}, "mmproj": {"Q8_0", "F16", "F32"}, "caption": {"F16"}}
    size = {name: (magicvl.DEFAULT_BUNDLE / f"{name}.gguf").stat().st_size for name in types}
    assert size["llm"] + size["mmproj"] <= 12_000_000
    assert round(sum(size.values()) / 1e6) == 14


def test_the_core_alone_answers() -> None:
    """With everything but the core's packages made impossible to import, as on a phone."""
    heavy = ("torch", "transformers", "safetensors", "tokenizers", "matplotlib", "tqdm")
    code = f"""
import sys
sys.modules |= dict.fromkeys({heavy!r})
from magicvl.cli import run
sys.exit(run(["ask", {os.fspath(magicvl.DEFAULT_BUNDLE / "demo.png")!r}, "-p", {DEMO[0]!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, DEMO[1]), done.stderr


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's own weights as a checkpoint: what ships is what is compared."""
    target = tmp_path_factory.mktemp("nano") / "checkpoint"
    restore(magicvl.DEFAULT_BUNDLE, target)
    return target


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> tuple[MagicVLForConditionalGeneration, MagicVLProcessor]:
    model = MagicVLForConditionalGeneration.from_pretrained(checkpoint).eval()
    return model, MagicVLProcessor.from_pretrained(checkpoint)


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_embeddings_equal_torch(
    kind: str,
    checkpoint: Path,
    reference: tuple[MagicVLForConditionalGeneration, MagicVLProcessor],
    tmp_path: Path,
) -> None:
    model, processor = reference
    convert(checkpoint, tmp_path / "bundle", mmproj_type=kind)
    with Engine(tmp_path / "bundle", threads=1) as engine:
        for number, (across, down) in enumerate(((1, 1), (4, 3), (12, 12), (13, 14))):
            picture = draw_scene(draw_sample(f"nano {number}", across, down, 1, held_out=True).scene)
            inputs = processor(ask_messages("?", 1), [picture])
            with torch.no_grad():
                theirs = model.model.get_image_features(inputs["pixel_values"], inputs["spatial_shapes"])
            a = np.concatenate(engine.embed(picture))
            b = torch.cat(theirs.pooler_output).numpy()
            cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            assert cosine.min() >= TOLERANCES[kind].cosine, (
                f"{across} x {down}: cosine {cosine.min():.6f}, largest difference {np.abs(a - b).max():.3g}, "
                f"mean {np.abs(a - b).mean():.3g}"
            )


def test_logits_and_greedy_answers_equal_torch_on_fifty_pictures(
    checkpoint: Path, reference: tuple[MagicVLForConditionalGeneration, MagicVLProcessor], tmp_path: Path
) -> None:
    model, processor = reference
    convert(checkpoint, tmp_path / "bundle", llm_type="F16", mmproj_type="F16")
    with Engine(tmp_path / "bundle", threads=1) as engine:
        for number in range(50):
            sample = draw_sample(f"greedy {number}", 1 + number % 6, 1 + number % 5, 1, held_out=True)
            picture, prompt = draw_scene(sample.scene), sample.questions[0].prompt
            inputs = processor(ask_messages(prompt, 1), [picture])
            with torch.no_grad():
                theirs = model(**inputs).logits[0, -1].numpy()
                tokens = model.generate(**inputs, max_new_tokens=32, do_sample=False)[0]
            ours = engine.logits(picture, prompt)
            error = float(np.sqrt(((ours - theirs) ** 2).mean()) / theirs.std())
            assert error <= TOLERANCES["F16"].logits, f"picture {number}: {error:.4f}"
            text = processor.tokenizer.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            assert engine.ask(picture, prompt, max_tokens=32) == text, f"picture {number}: {prompt}"
