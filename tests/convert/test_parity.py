"""The converted bundle in llama.cpp against the checkpoint in torch: pixels, embeddings, logits, answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from magicvl.convert.bundle import convert
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.engine import Engine
from magicvl.edge.prompt import ask_messages
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor

Floats = npt.NDArray[np.float32]
Make = Callable[..., Image.Image]

PROMPT = "What is in the picture?"
# Pictures in px, the budget, and the visual tokens that must come of them.
GRIDS = {
    "one token": (32, 32, None, 1),
    "1 x 24 tokens": (24 * 32, 32, None, 24),
    "24 x 1 tokens": (32, 24 * 32, None, 24),
    "a full tile": (384, 384, None, 144),
    "an edge tile on both axes": (450, 500, None, 14 * 16),
    "a single column left over": (384 + 32, 384, None, 13 * 12),
    "past the budget": (900, 700, 100, 99),
    "24 tiles": (6 * 384, 4 * 384, None, 24 * 144),
}


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> MagicVLForConditionalGeneration:
    return MagicVLForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()


@pytest.fixture(scope="module")
def processor(tiny_checkpoint: Path) -> MagicVLProcessor:
    return MagicVLProcessor.from_pretrained(tiny_checkpoint)


@pytest.fixture(scope="module", params=["F32", "F16", "Q8_0"])
def typed_engine(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Engine]]:
    bundle = tmp_path_factory.mktemp("typed") / "bundle"
    convert(tiny_checkpoint, bundle, mmproj_type=request.param)
    with Engine(bundle, threads=1) as engine:
        yield request.param, engine


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine(tiny_bundle, threads=1) as loaded:
        yield loaded


def torch_embeddings(
    model: MagicVLForConditionalGeneration,
    processor: MagicVLProcessor,
    picture: Image.Image,
    budget: int | None = None,
) -> list[Floats]:
    inputs = processor(ask_messages(PROMPT, 1), [picture], budget)
    with torch.no_grad():
        features = model.model.get_image_features(inputs["pixel_values"], inputs["spatial_shapes"])
    return [tile.numpy() for tile in features.pooler_output]


def torch_logits(
    model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, picture: Image.Image, prompt: str
) -> Floats:
    with torch.no_grad():
        return model(**processor(ask_messages(prompt, 1), [picture])).logits[0, -1].numpy()


def differences(ours: Floats, theirs: Floats) -> str:
    gap = np.abs(ours - theirs)
    return f"largest difference {gap.max():.3g}, mean {gap.mean():.3g}, of values around {theirs.std():.3g}"


def logit_error(ours: Floats, theirs: Floats) -> float:
    return float(np.sqrt(((ours - theirs) ** 2).mean()) / theirs.std())


@pytest.mark.parametrize("grid", GRIDS)
def test_embeddings(
    grid: str,
    typed_engine: tuple[str, Engine],
    model: MagicVLForConditionalGeneration,
    processor: MagicVLProcessor,
    make_picture: Make,
) -> None:
    kind, engine = typed_engine
    width, height, budget, tokens = GRIDS[grid]
    picture = make_picture(width, height, seed=3)
    theirs = torch_embeddings(model, processor, picture, budget)
    ours = engine.embed(picture, budget)
    assert [tile.shape for tile in ours] == [tile.shape for tile in theirs]
    assert sum(map(len, ours)) == tokens
    a, b = np.concatenate(ours), np.concatenate(theirs)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() >= TOLERANCES[kind].cosine, f"token {cosine.argmin()}: {cosine.min():.6f}; {differences(a, b)}"


def test_pixels_are_exact(
    build_tiny: Callable[..., MagicVLForConditionalGeneration],
    save_tiny: Callable[..., Path],
    tmp_path: Path,
    make_picture: Make,
) -> None:
    """An encoder that passes its pixels through shows what the runtime made of them.

    Identity patches, no positions, layers that add nothing; left is a LayerNorm over each patch. GELU is
    the identity for values around 100. One step of one channel moves a value by 2 / 255 or more; the
    runtime's convolution rounds pixels to F16, which moves them by a tenth of that.
    """
    width, mean, std = 3 * 16 * 16, (0.48, 0.45, 0.40), (0.5, 0.5, 0.5)
    model = build_tiny(vision_width=width, projector_use_layernorm=False)
    picked = torch.tensor([24 * i + i % 3 for i in range(128)])
    with torch.no_grad():
        for name, weight in model.model.vision_tower.named_parameters():
            # Nothing, in effect: a tensor of zeros is refused.
            weight.fill_(1.0 if name == "post_layernorm.weight" else 1e-30)
        model.model.vision_tower.embeddings.patch_embedding.weight.copy_(torch.eye(width))
        projector = model.model.multi_modal_projector
        projector.linear_1.weight.copy_(torch.nn.functional.one_hot(picked, 4 * width))
        projector.linear_2.weight.copy_(torch.eye(128))
        projector.linear_1.bias.fill_(100.0)
        projector.linear_2.bias.fill_(-100.0)
    checkpoint = save_tiny(model, tmp_path / "checkpoint", image_mean=mean, image_std=std)
    convert(checkpoint, tmp_path / "bundle", mmproj_type="F32")
    picture = make_picture(450, 100, seed=5)
    inputs = MagicVLProcessor.from_pretrained(checkpoint)(ask_messages(PROMPT, 1), [picture])
    with Engine(tmp_path / "bundle", threads=1) as engine:
        ours = engine.embed(picture)
    for tile, patches, shape in zip(ours, inputs["pixel_values"], inputs["spatial_shapes"], strict=True):
        rows, columns = (int(side) for side in shape)
        values = patches[: rows * columns].numpy().astype(np.float64)
        normal = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
        merged = normal.reshape(rows // 2, 2, columns // 2, 2, width).transpose(0, 2, 1, 3, 4)
        expected = merged.reshape(len(tile), 4 * width)[:, picked.numpy()]
        assert np.abs(tile - expected).max() < 0.003, differences(tile, expected.astype(np.float32))


@pytest.mark.parametrize(("llm_type", "prompt"), [("F16", PROMPT), ("F16", "1905?"), ("Q8_0", PROMPT)])
def test_logits(
    llm_type: str,
    prompt: str,
    model: MagicVLForConditionalGeneration,
    processor: MagicVLProcessor,
    tiny_checkpoint: Path,
    tmp_path: Path,
    make_picture: Make,
) -> None:
    convert(tiny_checkpoint, tmp_path / "bundle", llm_type=llm_type, mmproj_type="F32")
    with Engine(tmp_path / "bundle", threads=1) as engine:
        # 24 tiles: thousands of visual tokens show what small pictures hide.
        for width, height in ((32, 32), (384, 384), (450, 500), (6 * 384, 4 * 384)):
            picture = make_picture(width, height, seed=1)
            theirs = torch_logits(model, processor, picture, prompt)
            ours = engine.logits(picture, prompt)
            error = logit_error(ours, theirs)
            assert error <= TOLERANCES[llm_type].logits, f"{error:.4f}; {differences(ours, theirs)}"


def test_greedy_answers_are_the_same(
    engine: Engine, model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, make_picture: Make
) -> None:
    """Fifty pictures whose answers torch itself does not waver about: a tie has no right answer."""
    answers = []
    for seed in range(80):
        picture = make_picture(32 * (1 + seed % 5), 32 * (1 + seed % 4), seed=seed)
        theirs, lead = torch_answer(model, processor, picture, tokens=5)
        if lead > TOLERANCES["F16"].logits:
            assert engine.ask(picture, PROMPT, max_tokens=5) == theirs, f"picture {seed}, lead {lead:.3f}"
            answers.append(theirs)
        if len(answers) == 50:
            break
    assert len(answers) == 50
    assert len(set(answers)) > 30, "the pictures hardly decide the answers: this test shows little"


def torch_answer(
    model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, picture: Image.Image, tokens: int
) -> tuple[str, float]:
    """The greedy answer, and the least lead of a token over the next one in standard deviations."""
    inputs = processor(ask_messages(PROMPT, 1), [picture])
    with torch.no_grad():
        generated = model.generate(
            **inputs,
            max_new_tokens=tokens,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    steps = torch.cat(generated.logits)
    best = steps.topk(2).values
    lead = ((best[:, 0] - best[:, 1]) / steps.std(dim=-1)).min()
    ids = generated.sequences[0, inputs["input_ids"].shape[1] :]
    return processor.tokenizer.decode(ids, skip_special_tokens=True), float(lead)


def test_two_pictures_keep_their_order(
    engine: Engine, model: MagicVLForConditionalGeneration, processor: MagicVLProcessor, make_picture: Make
) -> None:
    pictures = [make_picture(64, 96, seed=8), make_picture(420, 64, seed=9)]
    with torch.no_grad():
        theirs = model(**processor(ask_messages(PROMPT, 2), pictures)).logits[0, -1].numpy()
    ours, swapped = engine.logits(pictures, PROMPT), engine.logits(pictures[::-1], PROMPT)
    assert logit_error(ours, theirs) <= TOLERANCES["F16"].logits < logit_error(swapped, theirs)
