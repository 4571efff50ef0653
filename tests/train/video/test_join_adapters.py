"""Joined adapters do what they did one after the other, in torch and in the edge runtime."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magicvl.convert.adapter import open_adapter
from magicvl.convert.bundle import convert
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.answer import Options, drain
from magicvl.edge.engine import Engine
from magicvl.edge.video.description import film_message
from magicvl.errors import CheckpointError, UsageError
from magicvl.train.curriculum.adapter import with_adapter
from magicvl.train.curriculum.stage import Lora
from magicvl.train.load_model import load_model
from magicvl.train.video.captioner import Captioner, captioner_of
from magicvl.train.video.join_adapters import join_adapters
from magicvl.train.video.merging import write_checkpoint
from magicvl.train.video.run import open_captioner
from magicvl.train.video.settings import Clips

FIRST_LORA = Lora(rank=6, alpha=12, targets=("q_proj", "v_proj", "gate_proj"), head=True)
SECOND_LORA = Lora(rank=2, alpha=3, targets=("q_proj", "down_proj"))


def trained(base: Path, lora: Lora, folder: Path, seed: int) -> tuple[Path, Path]:
    """An adapter of random numbers on a base, and the checkpoint with it; `folder`/base is the one without it."""
    model, processor = load_model(base)
    torch.manual_seed(seed)
    peft = with_adapter(captioner_of(model, untie=lora.head), lora, None)
    for name, weight in peft.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weight, std=0.1)
    peft.save_pretrained(folder / "adapter", save_embedding_layers=False)
    write_checkpoint(peft, processor, folder / "merged")
    write_checkpoint(peft, processor, folder / "base", adapter=False)
    return folder / "adapter", folder / "merged"


@pytest.fixture
def two(tiny_checkpoint: Path, tmp_path: Path) -> tuple[list[Path], Path]:
    """Two adapters, the second trained on the first one's checkpoint, and the checkpoint with both."""
    first, merged = trained(tiny_checkpoint, FIRST_LORA, tmp_path / "first", 1)
    second, both = trained(merged, SECOND_LORA, tmp_path / "second", 2)
    return [first, second], both


def test_the_joined_adapter_is_both(two: tuple[list[Path], Path], clips: Clips, tmp_path: Path) -> None:
    adapters, both = two
    joined = join_adapters(adapters, tmp_path / "joined")
    config = json.loads((joined / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 8, "ranks add up where both change a matrix"
    captioner, films = open_captioner(tmp_path / "first" / "base", clips, 0)
    wanted, _ = open_captioner(both, clips, 0)
    ids = torch.tensor([films[0].prompt + films[0].answer])
    with torch.no_grad():
        base = captioner(input_ids=ids).logits
        with_adapter(captioner, None, joined)
        made = captioner(input_ids=ids).logits
        theirs = wanted(input_ids=ids).logits
    torch.testing.assert_close(made, theirs, atol=2e-3, rtol=1e-3)
    assert float((base - theirs).abs().max()) > 0.5
    assert {pair.rank for pair in open_adapter(joined).pairs} == {8}


def test_what_cannot_be_joined(two: tuple[list[Path], Path], tmp_path: Path) -> None:
    adapters, _ = two
    with pytest.raises(UsageError, match="two at least"):
        join_adapters(adapters[:1], tmp_path / "joined")
    with pytest.raises(UsageError, match="there already"):
        join_adapters(adapters, adapters[0])
    with pytest.raises(CheckpointError, match="no such adapter"):
        join_adapters([adapters[0], tmp_path / "none"], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def assert_greedy(captioner: Captioner, prompt: list[int], answer: list[int]) -> None:
    """Each token is torch's likeliest, or so near that one runtime's rounding decides."""
    with torch.no_grad():
        logits = captioner(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    lacking = (logits.max(-1).values - logits.gather(1, torch.tensor(answer)[:, None])[:, 0]) / logits.std(-1)
    assert len(answer) > 1 and float(lacking.max()) <= 3 * TOLERANCES["F16"].logits
    assert float((lacking == 0).float().mean()) > 0.8


@pytest.mark.slow
def test_the_edge_runtime_writes_what_torch_writes(
    two: tuple[list[Path], Path], tiny_checkpoint: Path, clips: Clips, tmp_path: Path
) -> None:
    """What is said of films by the adapter, and of pictures by the model that its head was once tied in."""
    adapters, both = two
    joined = join_adapters(adapters, tmp_path / "joined")
    convert(tmp_path / "first" / "base", tmp_path / "bundle", llm_type="F32", mmproj_type="F32", caption_adapter=joined)
    captioners = {False: open_captioner(tiny_checkpoint, clips, 0), True: open_captioner(both, clips, 0)}
    with Engine(tmp_path / "bundle", threads=1) as engine:
        for number in range(3):
            said = {}
            for captions, (captioner, films) in captioners.items():
                film, clip = films[number], films.clip(number)
                pictures = [engine.opened.cut(clip.picture(each), films.settings.budget) for each in film.times]
                request = replace(engine.read([film_message(film.times)], pictures), captions=captions)
                edge = drain(engine.generate(request, Options(max_tokens=24), None, 0.0)).tokens
                said[captions] = list(edge)
                assert_greedy(captioner, film.prompt, said[captions])
            assert said[False] != said[True], "the adapter decides what is said of films alone"
