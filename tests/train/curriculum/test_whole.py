"""The whole curriculum in small, on generated samples: an encoder from nothing to a bundle with an adapter."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image

from magicvl.convert.bundle import convert
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.prompt import ask_messages
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor
from magicvl.train.curriculum.ablation import SCORES, Ablation, Arm, Piece, is_done
from magicvl.train.curriculum.ablation_run import run_piece
from magicvl.train.curriculum.ablation_table import ALL, cell, make_table, write_table
from magicvl.train.curriculum.adapter import with_adapter
from magicvl.train.curriculum.read_stage import find_stage, read_stage
from magicvl.train.curriculum.stage import Data, Lora, Pictures, Rates, Stage, Start
from magicvl.train.curriculum.trainer import LOG_NAME, run_stage
from magicvl.train.run_log import read_log

PRINT = Data("generated:word,number")
SMALL = {"steps": 2, "samples": 4, "row_tokens": 512, "warmup": 0.0, "evaluate_every": 2, "evaluate_samples": 4,
         "budget": 16, "complexity": None}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def small(name: str, **fields: object) -> Stage:
    """A stage that comes along, cut down to what a test can run."""
    return replace(read_stage(find_stage(name)), **{**SMALL, "data": (PRINT,), **fields})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_stages_and_a_bundle(tmp_path: Path, make_picture: Callable[..., Image.Image]) -> None:
    started = Start(previous="../stage0", preset="magicvl-nano", language="new", vocabulary=400, words=PRINT.spec)
    lora = Lora(rank=2, alpha=4)
    stages = [
        small("nano/stage0", average=0.9, checkpointing=True),
        small("nano/stage1", start=started, checkpointing=True),
        small("nano/stage2", precision="bf16", optimiser="muon"),
        small("nano/stage3", lora=lora),
        small("nano/stage4", lora=lora, steps=3),
    ]
    for number, stage in enumerate(stages):
        run_stage(stage, tmp_path / f"stage{number}", resume=False, workers=2 if number == 4 else 0)
        AcceleratorState._reset_state(reset_partial_state=True)
        logged = read_log(tmp_path / f"stage{number}" / LOG_NAME)
        assert len(logged) == stage.steps
        assert all((entry["answers"] is None) == (number == 0) for entry in logged)
        assert all(entry["dense"] > 0 for entry in logged)
    last = tmp_path / "stage4"
    convert(last / "checkpoint", tmp_path / "bundle", adapter=last / "adapter", llm_type="F32", lora_type="F16")
    read_bundle(tmp_path / "bundle").verify()
    picture, asked = make_picture(96, 64), "What is the number?"
    with Engine(tmp_path / "bundle", threads=1) as engine:
        ours = engine.logits(picture, asked)
    model = MagicVLForConditionalGeneration.from_pretrained(last / "checkpoint")
    with_adapter(model, lora, last / "adapter")
    inputs = MagicVLProcessor.from_pretrained(last / "checkpoint")(ask_messages(asked, 1), [picture])
    with torch.no_grad():
        theirs = model.eval()(**inputs).logits[0, -1].numpy()
    assert np.abs(ours - theirs).max() < 0.02 * theirs.std()


def stage_on(checkpoint: Path, data: Path, **fields: object) -> Stage:
    return Stage("s", Start(checkpoint=str(checkpoint)), Rates(encoder=1e-3, projector=1e-3, language=1e-3),
                 (Data(f"llava:{data}"),), steps=3, samples=4, row_tokens=96, warmup=0.0, evaluate_every=3,
                 evaluate_samples=4, **fields)  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_ablation_trains_its_arms_from_what_they_share(
    tiny_checkpoint: Path, colour_samples: Path, tmp_path: Path
) -> None:
    first = stage_on(tiny_checkpoint, colour_samples)
    later = replace(first, start=Start(previous="."))
    whole = replace(later, pictures=Pictures(policy="internvl", tile=32, max_tiles=4))
    shared = Arm("shared", (first,))
    arms = (Arm("plain", (later,)), Arm("whole", (whole,)))
    found = Ablation("test", "Which?", arms, shared, (Data(f"llava:{colour_samples}"),), 12)
    for piece in (Piece(shared), *(Piece(arm, seed, shared) for seed in (1, 2) for arm in arms)):
        assert not is_done(found, piece, tmp_path)
        run_piece(found, piece, tmp_path, workers=0)
        AcceleratorState._reset_state(reset_partial_state=True)
        assert is_done(found, piece, tmp_path)
    text = write_table(found, tmp_path, 2)
    assert "| plain | 2 |" in text and "| whole | 2 |" in text
    plain, cut = make_table(found, tmp_path, 2)
    assert plain.samples == cut.samples == 12
    assert plain.gain is None and cut.gain is not None and cut.gain.half is not None
    assert plain.picture_tokens > 0 and cut.picture_tokens > 0 and plain.picture_tokens != cut.picture_tokens
    assert (tmp_path / "table.png").stat().st_size > 1000
    assert len(json.loads((tmp_path / "table.json").read_text())) == 2


def test_the_table_has_students_intervals(tmp_path: Path) -> None:
    assert (cell([3.0]).mean, cell([3.0]).half) == (3.0, None)
    three = cell([1.0, 2.0, 3.0])
    assert three.mean == 2.0 and three.half == pytest.approx(4.30 / 3**0.5)
    arms = (Arm("a", ()), Arm("b", ()))
    found = Ablation("t", "?", arms, None, (), 1)
    for name, seed, right, loss in (("a", 1, 1, 2.0), ("a", 2, 3, 3.0), ("b", 1, 2, 1.5), ("b", 2, 4, 2.5)):
        folder = Piece(Arm(name, ()), seed).folder(tmp_path)
        folder.mkdir(parents=True)
        scores = {"accuracy": {"ocr": [right, 10], "vqa": [5, 10]}, "loss": loss, "picture_tokens": 7.0, "samples": 9}
        (folder / SCORES).write_text(json.dumps(scores))
    first, second = make_table(found, tmp_path, 3)
    assert (first.cells["ocr"].mean, first.cells["vqa"].mean, first.cells[ALL].mean) == (20.0, 50.0, 35.0)
    # Both seeds gain five points of the mean: paired, there is no doubt left.
    assert second.gain is not None and (second.gain.mean, second.gain.half) == (5.0, 0.0)
    assert second.loss.mean == 2.0 and second.loss.half is not None and second.loss.half > 1
    assert second.loss_change is not None and (second.loss_change.mean, second.loss_change.half) == (-0.5, 0.0)
    assert first.gain is None and first.loss_change is None
    assert "-0.500 ± 0.000" in write_table(found, tmp_path, 3)
    assert first.seeds == 2
