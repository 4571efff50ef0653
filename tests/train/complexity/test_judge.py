"""A sample's loss is the model's own; models must grow and share their words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from magicvl.edge.prompt import Message, Picture, Text
from magicvl.errors import CheckpointError, PictureError, UsageError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.complexity.judge import load_judge
from magicvl.train.complexity.sizes import check_sizes
from magicvl.train.samples.sample import Sample, Turn

TURN = Turn("What is in the picture?", "two blue squares")


def by_hand(checkpoint: Path, pictures: list[Image.Image], turns: tuple[Turn, ...]) -> float:
    """The loss that the model gives for labels of the answers alone."""
    model = MagicVLForConditionalGeneration.from_pretrained(checkpoint).eval()
    processor = MagicVLProcessor.from_pretrained(checkpoint)
    messages: list[Message] = []
    labels: list[int] = []
    for number, turn in enumerate(turns):
        parts = (*map(Picture, range(len(pictures) if number == 0 else 0)), turn.prompt)
        messages.append(Message("user", parts))
        asked = processor(messages, pictures)["input_ids"].shape[1]
        labels += [-100] * (asked - len(labels)) + processor.text_ids(Text(turn.answer, special=False))
        messages.append(Message("assistant", (turn.answer,)))
    batch = processor(messages, pictures, answer=False)
    labels += [-100] * (batch["input_ids"].shape[1] - len(labels))
    with torch.no_grad():
        return float(model(**batch, labels=torch.tensor([labels])).loss)


def test_the_loss_is_the_models_own(tiny_checkpoint: Path, make_picture: Callable[..., Image.Image]) -> None:
    judge = load_judge(tiny_checkpoint)
    pictures = [make_picture(500, 70), make_picture(64, 96, seed=1)]
    more = (TURN, Turn("And below?", "a green background"))
    for seen, turns in (([], (TURN,)), (pictures[:1], (TURN,)), (pictures, more)):
        sample = Sample("1", "vqa", "made", tuple(seen), turns)
        assert judge.loss(sample) == pytest.approx(by_hand(tiny_checkpoint, seen, turns), rel=1e-4)
    other = Sample("1", "vqa", "made", (make_picture(500, 70, seed=5),), (TURN,))
    assert judge.loss(other) != judge.loss(Sample("1", "vqa", "made", (pictures[0],), (TURN,)))


def test_samples_without_a_loss(tiny_checkpoint: Path, tmp_path: Path) -> None:
    judge = load_judge(tiny_checkpoint)
    assert judge.loss(Sample("1", "text", "made", (), (Turn("Nothing?", ""),))) is None
    assert judge.loss(Sample("1", "text", "made", (), (Turn("Much?", "a red circle " * 9000),))) is None
    with pytest.raises(PictureError, match="no such file"):
        judge.loss(Sample("1", "vqa", "made", (tmp_path / "none.png",), (TURN,)))


def test_models_that_grow(growing: tuple[Path, Path, Path]) -> None:
    sizes = check_sizes(growing)
    for path, size in zip(growing, sizes, strict=True):
        model = MagicVLForConditionalGeneration.from_pretrained(path)
        assert size == sum(weight.numel() for weight in model.parameters())
    assert sizes == sorted(set(sizes))
    assert check_sizes(growing[:2]) == sizes[:2]
    assert check_sizes([]) == []


def test_models_that_cannot_be_compared(growing: tuple[Path, Path, Path], tmp_path: Path) -> None:
    small, mid, large = growing
    for models, said in (
        ([small], "1 --models: S_task compares two sizes or three"),
        ([small, mid, large, large], "4 --models"),
        ([mid, small], r"--models mid 0\.\d M, small 0\.\d M: they must grow"),
        ([small, small], "they must grow"),
    ):
        with pytest.raises(UsageError, match=said):
            check_sizes(models)
    other = shutil.copytree(mid, tmp_path / "other")
    words = json.loads((other / "tokenizer.json").read_text())
    words["model"]["merges"].pop()
    (other / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(UsageError, match="their vocabularies differ"):
        check_sizes([small, other])


def test_what_is_no_checkpoint(tiny_llm: Path, growing: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a model of type 'llama'; --models takes MagicVL checkpoints"):
        load_judge(tiny_llm)
    with pytest.raises(CheckpointError, match="no such directory"):
        load_judge(tmp_path / "none")
    broken = shutil.copytree(growing[0], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no")
    failing: tuple[Callable[[], Any], ...] = (lambda: load_judge(broken), lambda: check_sizes([broken, growing[1]]))
    for fails in failing:
        with pytest.raises(CheckpointError) as error:
            fails()
        assert "\n" not in str(error.value)
