"""MagicVL is a Hugging Face citizen: Auto classes, save and load, generate, a loss."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from magicvl.edge.plan import plan
from magicvl.edge.prompt import Message, ask_messages
from magicvl.errors import CheckpointError
from magicvl.mmproj.configuration import MagicVLConfig, config_from_preset
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.presets import PRESETS
from magicvl.mmproj.processing import MagicVLProcessor

Make = Callable[..., Image.Image]


def test_auto_classes_and_generate(tiny_checkpoint: Path, make_picture: Make) -> None:
    assert type(AutoConfig.from_pretrained(tiny_checkpoint)) is MagicVLConfig
    processor = AutoProcessor.from_pretrained(tiny_checkpoint)
    assert type(processor) is MagicVLProcessor
    model = AutoModelForImageTextToText.from_pretrained(tiny_checkpoint).eval()
    assert type(model) is MagicVLForConditionalGeneration
    inputs = processor(ask_messages("What is it?", 1), [make_picture(450, 100)])
    answer = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert answer.shape[0] == 1
    assert inputs["input_ids"].shape[1] < answer.shape[1] <= inputs["input_ids"].shape[1] + 4


def test_auto_processor_follows_the_model_type(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The processor is found by the config too, where its own file does not name it."""
    shutil.copytree(tiny_checkpoint, tmp_path, dirs_exist_ok=True)
    for name in ("processor_config.json", "tokenizer_config.json"):
        data = json.loads((tmp_path / name).read_text())
        del data["processor_class"]
        (tmp_path / name).write_text(json.dumps(data))
    assert type(AutoProcessor.from_pretrained(tmp_path)) is MagicVLProcessor


def test_save_and_load(tiny_checkpoint: Path, tmp_path: Path, make_picture: Make) -> None:
    model = MagicVLForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()
    processor = MagicVLProcessor.from_pretrained(tiny_checkpoint)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = MagicVLForConditionalGeneration.from_pretrained(tmp_path).eval()
    inputs = MagicVLProcessor.from_pretrained(tmp_path)(ask_messages("x", 1), [make_picture(64, 64)])
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)
    assert again.config.grid == model.config.grid == processor.grid
    assert again.config.pieces == model.config.pieces


def test_the_loss_of_a_batch_reaches_every_part(
    build_tiny: Callable[..., MagicVLForConditionalGeneration], tiny_checkpoint: Path, make_picture: Make
) -> None:
    model = build_tiny()
    inputs = MagicVLProcessor.from_pretrained(tiny_checkpoint)(ask_messages("x", 1), [make_picture(450, 64)])
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert idle == []


def test_tiles_of_different_sizes_do_not_touch_each_other(tiny_checkpoint: Path, make_picture: Make) -> None:
    """A tile's tokens are the same alone and in a batch with larger and smaller ones."""
    model = MagicVLForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()
    processor = MagicVLProcessor.from_pretrained(tiny_checkpoint)
    pictures = [make_picture(32, 32, 1), make_picture(450, 100, 2), make_picture(64, 384, 3)]

    def features(chosen: list[Image.Image]) -> list[torch.Tensor]:
        inputs = processor(ask_messages("x", len(chosen)), chosen)
        with torch.no_grad():
            output = model.model.get_image_features(inputs["pixel_values"], inputs["spatial_shapes"])
        return list(output.pooler_output)

    together = features(pictures)
    alone = [tile for picture in pictures for tile in features([picture])]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_placeholders_are_as_many_as_visual_tokens(tiny_checkpoint: Path, make_picture: Make) -> None:
    processor = MagicVLProcessor.from_pretrained(tiny_checkpoint)
    pictures = [make_picture(900, 700), make_picture(40, 40)]
    inputs = processor(ask_messages("Say <|image|>", 2), pictures, budget=50)
    plans = [plan(*picture.size, processor.grid, 50) for picture in pictures]
    found = (inputs["input_ids"] == processor.image_token_id).sum()
    assert found == sum(each.tokens for each in plans)
    assert inputs["pixel_values"].shape[:2] == inputs["pixel_attention_mask"].shape


def test_a_conversation_without_pictures(tiny_checkpoint: Path) -> None:
    processor = MagicVLProcessor.from_pretrained(tiny_checkpoint)
    messages = [Message("user", ("Hi",)), Message("assistant", ("Hello",)), Message("user", ("Again",))]
    text = processor.tokenizer.decode(processor(messages)["input_ids"][0])
    assert text == "<|user|>Hi<|assistant|>Hello<|end|><|user|>Again<|assistant|>"


def test_a_tokenizer_without_the_placeholder(tiny_checkpoint: Path) -> None:
    processor = MagicVLProcessor.from_pretrained(tiny_checkpoint)
    processor.image_token = "<|no such token|>"
    with pytest.raises(CheckpointError, match="add it as a special token"):
        _ = processor.image_token_id


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_shapes_they_name(name: str) -> None:
    shape = PRESETS[name]
    with torch.device("meta"):
        model = MagicVLForConditionalGeneration(config_from_preset(shape))
    assert model.model.vision_tower.embeddings.patch_embedding.out_features == shape.vision.width
    assert model.get_input_embeddings().weight.shape == (shape.language.vocabulary, shape.language.width)
    encoder = sum(weight.numel() for weight in model.model.vision_tower.parameters())
    # The paper's 93 M count SigLIP2's pooling head, 7 M, which no visual token sees.
    sizes = {"magicvl-2b": 86e6, "magicvl-tiny": 22e6, "magicvl-nano": 3.8e6}
    assert encoder == pytest.approx(sizes[name], rel=0.05)
