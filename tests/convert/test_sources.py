"""Checkpoints of other makers: converted, cut, encoded and answered as their own code does it in torch."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModelForImageTextToText,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.idefics3 import Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from magicvl import cli
from magicvl.convert.bundle import convert
from magicvl.convert.parity import parity
from magicvl.convert.reference_nanovlm import NanoVLMReference
from magicvl.convert.reference_nanovlm_model import NanoVLM
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.request import open_and_cut
from magicvl.errors import CheckpointError

Floats = npt.NDArray[np.float32]
Make = Callable[..., Image.Image]

PROMPT = "What is in the picture?"
TURN = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]
SIZES = [(300, 200), (64, 64), (1, 90), (130, 7), (333, 500)]
PARTS = (
    "{% for m in messages %}<|user|>{{ m['role'] }}{% if m['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}"
    "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORDS = (
    "{% for m in messages %}<|user|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Kit:
    """What every checkpoint here is built of."""

    tokenizer: PreTrainedTokenizerFast
    decoder: dict[str, Any]
    spread: Callable[[nn.Module], nn.Module]
    """Gives a model its random weights."""


@dataclass(frozen=True)
class Seen:
    """What the reference makes of one picture and PROMPT."""

    ids: list[int]
    pixels: Floats
    """(tiles, 3, side, side), normalised."""
    embeddings: Floats
    """(visual tokens, width)."""
    logits: Floats
    """Of the first token of the answer."""


@dataclass(frozen=True)
class Reference:
    """A checkpoint and the code that it was made for."""

    checkpoint: Path
    tokenizer: Path | None
    look: Callable[[Image.Image], Seen]
    mean: float
    std: float
    step: float
    """Largest difference of a pixel that is due to rounding, normalised."""


def encoder_fields(**changes: Any) -> dict[str, Any]:
    return {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
    } | changes


def with_tokens(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[str], template: str) -> PreTrainedTokenizerFast:
    larger = deepcopy(tokenizer)
    larger.add_special_tokens({"additional_special_tokens": list(tokens)})
    larger.chat_template = template
    return larger


IDEFICS3_TOKENS = (
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)


def build_idefics3(directory: Path, kit: Kit, kind: str = "idefics3", *, splits: bool = True) -> Reference:
    words = with_tokens(kit.tokenizer, IDEFICS3_TOKENS, PARTS)
    config, model = {
        "idefics3": (Idefics3Config, Idefics3ForConditionalGeneration),
        "smolvlm": (SmolVLMConfig, SmolVLMForConditionalGeneration),
    }[kind]
    # 68 px are eight patches of 8 px and a rest that the convolution leaves out, as SmolVLM-2.2B has it.
    tile = 68 if kind == "smolvlm" else 64
    made = kit.spread(
        model(
            config(
                vision_config=encoder_fields(image_size=tile),
                text_config=kit.decoder | {"vocab_size": len(words)},
                scale_factor=4 if kind == "smolvlm" else 2,
                image_token_id=words.convert_tokens_to_ids("<image>"),
                tie_word_embeddings=kind == "smolvlm",
            )
        )
    )
    made.save_pretrained(directory)
    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": 4 * tile - 3}, max_image_size={"longest_edge": tile}, do_image_splitting=splits
    )
    tokens = 4 if kind == "smolvlm" else 16
    processor = Idefics3Processor(pictures, words, image_seq_len=tokens, chat_template=PARTS)
    processor.save_pretrained(directory)
    if kind == "smolvlm":
        edit(directory / "config.json", model_type="smolvlm")

    def look(picture: Image.Image) -> Seen:
        text = processor.apply_chat_template(TURN, add_generation_prompt=True)
        inputs = processor(images=[picture], text=text, return_tensors="pt")
        with torch.no_grad():
            features = made.model.get_image_features(inputs["pixel_values"], inputs["pixel_attention_mask"])
            logits = made(**inputs).logits[0, -1]
        return Seen(
            inputs["input_ids"][0].tolist(),
            inputs["pixel_values"][0].numpy(),
            torch.cat(features.pooler_output).numpy(),
            logits.numpy(),
        )

    return Reference(directory, None, look, 0.5, 0.5, 0.0)


def build_llava(directory: Path, kit: Kit, layer: int) -> Reference:
    words = with_tokens(kit.tokenizer, ["<image>"], PARTS)
    made = kit.spread(
        LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=encoder_fields(model_type="siglip_vision_model", vision_use_head=False),
                text_config=kit.decoder | {"vocab_size": len(words)},
                image_token_index=words.convert_tokens_to_ids("<image>"),
                vision_feature_select_strategy="full",
                vision_feature_layer=layer,
                image_seq_length=64,
            )
        )
    )
    made.save_pretrained(directory)
    pictures = SiglipImageProcessorPil(size={"height": 64, "width": 64}, image_mean=[0.4] * 3, image_std=[0.3] * 3)
    processor = LlavaProcessor(
        pictures, words, patch_size=8, vision_feature_select_strategy="full", image_token="<image>", chat_template=PARTS
    )
    processor.save_pretrained(directory)

    def look(picture: Image.Image) -> Seen:
        text = processor.apply_chat_template(TURN, add_generation_prompt=True)
        inputs = processor(images=[picture], text=text, return_tensors="pt")
        with torch.no_grad():
            features = made.model.get_image_features(inputs["pixel_values"])
            logits = made(**inputs).logits[0, -1]
        return Seen(
            inputs["input_ids"][0].tolist(),
            inputs["pixel_values"].numpy(),
            torch.cat(list(features.pooler_output)).numpy(),
            logits.numpy(),
        )

    return Reference(directory, None, look, 0.4, 0.3, 0.0)


def nano_config(kit: Kit, extra: dict[str, str]) -> dict[str, Any]:
    decoder = kit.decoder
    config: dict[str, Any] = {
        "vit_hidden_dim": 64,
        "vit_inter_dim": 128,
        "vit_patch_size": 8,
        "vit_img_size": 64,
        "vit_n_heads": 2,
        "vit_n_blocks": 2,
        "vit_ln_eps": 1e-6,
        "vit_cls_flag": False,
        "lm_hidden_dim": decoder["hidden_size"],
        "lm_inter_dim": decoder["intermediate_size"],
        "lm_rms_eps": 1e-5,
        "lm_re_base": decoder["rope_parameters"]["rope_theta"],
        "lm_max_position_embeddings": decoder["max_position_embeddings"],
        "lm_vocab_size": decoder["vocab_size"] + len(extra),
        "lm_n_heads": decoder["num_attention_heads"],
        "lm_n_kv_heads": decoder["num_key_value_heads"],
        "lm_n_blocks": decoder["num_hidden_layers"],
        "lm_attn_scaling": 1.0,
        "lm_use_tokens": False,
        "lm_tie_weights": True,
        "lm_tokenizer": "a/tokenizer",
        "mp_pixel_shuffle_factor": 4,
    }
    if extra:
        config |= {"vlm_extra_tokens": extra, "lm_chat_template": WORDS, "max_img_size": 256}
    return config | (
        {"mp_image_token_length": 4, "resize_to_max_side_len": True} if "global_image_token" in extra else {}
    )


NANO_NAMES = """
    decoder.blocks.{i}.attn.k_proj.weight   decoder.blocks.{i}.attn.out_proj.weight
    decoder.blocks.{i}.attn.q_proj.weight   decoder.blocks.{i}.attn.v_proj.weight
    decoder.blocks.{i}.mlp.down_proj.weight decoder.blocks.{i}.mlp.gate_proj.weight
    decoder.blocks.{i}.mlp.up_proj.weight   decoder.blocks.{i}.norm1.weight
    decoder.blocks.{i}.norm2.weight         decoder.head.weight
    decoder.norm.weight                     decoder.rotary_embd.inv_freq
    MP.proj.weight
    vision_encoder.blocks.{i}.attn.out_proj.bias vision_encoder.blocks.{i}.attn.out_proj.weight
    vision_encoder.blocks.{i}.attn.qkv_proj.bias vision_encoder.blocks.{i}.attn.qkv_proj.weight
    vision_encoder.blocks.{i}.ln1.bias      vision_encoder.blocks.{i}.ln1.weight
    vision_encoder.blocks.{i}.ln2.bias      vision_encoder.blocks.{i}.ln2.weight
    vision_encoder.blocks.{i}.mlp.fc1.bias  vision_encoder.blocks.{i}.mlp.fc1.weight
    vision_encoder.blocks.{i}.mlp.fc2.bias  vision_encoder.blocks.{i}.mlp.fc2.weight
    vision_encoder.layer_norm.bias          vision_encoder.layer_norm.weight
    vision_encoder.patch_embedding.conv.bias vision_encoder.patch_embedding.conv.weight
    vision_encoder.patch_embedding.position_embedding
"""
"""The tensors of a checkpoint, as the modules in nanoVLM's models/*.py are called."""


def nano_extra(generation: str) -> dict[str, str]:
    """The special tokens that a generation of nanoVLM appends, by their role."""
    image, whole = {"image_token": "<|picture|>"}, {"global_image_token": "<|global_image|>"}
    places = {f"r{row}c{column}": f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)}
    return {
        "0.1": {},
        "one square": image,
        "tiles without places": image,
        "0.2": image | places,
        "0.3": image | whole | places,
    }[generation]


def build_nanovlm(directory: Path, kit: Kit, generation: str) -> Reference:
    extra = nano_extra(generation)
    config = nano_config(kit, extra)
    if generation == "one square":
        del config["max_img_size"]
    model = kit.spread(NanoVLM(config))
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    # As safetensors' save_model does: of two names for one tensor the first by the alphabet.
    del weights["decoder.token_embedding.weight"]
    layers = [name.replace("{i}", str(i)) for name in NANO_NAMES.split() for i in range(2)]
    assert weights.keys() == set(layers)
    save_file(weights, directory / "model.safetensors")
    place = directory / "words"
    kit.tokenizer.save_pretrained(place)
    reference = NanoVLMReference(directory, place)

    def look(picture: Image.Image) -> Seen:
        found = reference.see(picture, PROMPT, 1)
        pixels = np.stack([tile.pixels.transpose(2, 0, 1) for tile in found.tiles])
        return Seen(list(found.ids), pixels, np.concatenate([tile.embeddings for tile in found.tiles]), found.logits)

    return Reference(directory, place, look, 0.0, 1.0, 1 / 255 if "global_image_token" in extra else 0.0)


BUILD: dict[str, Callable[[Path, Kit], Reference]] = {
    "idefics3": build_idefics3,
    "smolvlm": lambda place, kit: build_idefics3(place, kit, "smolvlm"),
    "idefics3, whole": lambda place, kit: build_idefics3(place, kit, splits=False),
    "llava, the last layer": lambda place, kit: build_llava(place, kit, -1),
    "llava, the last but one": lambda place, kit: build_llava(place, kit, -2),
    "nanovlm 0.1": lambda place, kit: build_nanovlm(place, kit, "0.1"),
    "nanovlm, one square": lambda place, kit: build_nanovlm(place, kit, "one square"),
    "nanovlm, tiles without places": lambda place, kit: build_nanovlm(place, kit, "tiles without places"),
    "nanovlm 0.2": lambda place, kit: build_nanovlm(place, kit, "0.2"),
    "nanovlm 0.3": lambda place, kit: build_nanovlm(place, kit, "0.3"),
}


@dataclass(frozen=True)
class Made:
    """A reference and the bundle that we converted it to."""

    reference: Reference
    bundle: Path
    engine: Engine


@pytest.fixture(scope="session")
def kit(tiny_tokenizer: PreTrainedTokenizerFast, tiny_decoder: dict[str, Any], spread: Any) -> Kit:
    return Kit(tiny_tokenizer, tiny_decoder, spread)


@pytest.fixture(scope="module", params=BUILD)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kit: Kit) -> Iterator[Made]:
    place = tmp_path_factory.mktemp("source")
    reference = BUILD[request.param](place / "checkpoint", kit)
    convert(reference.checkpoint, place / "bundle", mmproj_type="F32", tokenizer=reference.tokenizer)
    with Engine(place / "bundle", threads=1) as engine:
        yield Made(reference, place / "bundle", engine)


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def least_cosine(a: Floats, b: Floats) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def test_pixels_tokens_embeddings_and_logits(made: Made, make_picture: Make) -> None:
    """One test a layout: what a picture becomes is computed once and compared at every stage."""
    reference, engine = made.reference, made.engine
    for seed, size in enumerate(SIZES):
        picture = make_picture(*size, seed=seed)
        theirs = reference.look(picture)
        planned, tiles = open_and_cut(picture, engine.lock, None)
        pixels = np.stack([(tile.astype(np.float32) / 255 - reference.mean) / reference.std for tile in tiles])
        gap = np.abs(pixels.transpose(0, 3, 1, 2) - theirs.pixels)
        assert gap.max() <= reference.step + 1e-5, f"{size}: pixels differ by {gap.max():.5f}"
        assert planned.tokens == len(theirs.embeddings)
        request = engine._prepare([picture], PROMPT, None, None)
        ours: list[int | None] = []
        for part in request.parts:
            ours += part if isinstance(part, list) else [None] * (len(theirs.embeddings) // len(tiles))
        visual = [i for i, token in enumerate(ours) if token is None]
        placeholder = theirs.ids[visual[0]]
        assert [placeholder if token is None else token for token in ours] == theirs.ids
        cosine = least_cosine(np.concatenate(engine.embed(picture)), theirs.embeddings)
        assert cosine >= TOLERANCES["F32"].cosine, f"{size}: {cosine:.6f}"
        logits = engine.logits(picture, PROMPT)
        error = float(np.sqrt(((logits - theirs.logits) ** 2).mean()) / theirs.logits.std())
        assert error <= TOLERANCES["F16"].logits, f"{size}: {error:.4f}"


def test_greedy_answers_begin_alike(made: Made, make_picture: Make) -> None:
    reference, engine = made.reference, made.engine
    compared = 0
    for seed in range(12):
        picture = make_picture(120, 90, seed=seed)
        theirs = reference.look(picture)
        second, best = np.sort(theirs.logits)[-2:]
        # A tie has no right answer.
        if (best - second) / theirs.logits.std() > TOLERANCES["F16"].logits:
            answer = engine.answer(picture, PROMPT, max_tokens=1)
            token = int(theirs.logits.argmax())
            assert answer.text == engine.inproc.model.piece(token).decode("utf-8", "replace")
            assert answer.usage.image_tokens == len(theirs.embeddings)
            compared += 1
        if compared == 3:
            return
    pytest.fail(f"{compared} pictures without a tie: this test shows little")


def test_a_look_can_be_predicted(made: Made, check_prediction: Callable[[Path], None]) -> None:
    check_prediction(made.bundle)


def test_ask_and_plan_run_as_real_commands(tmp_path: Path, kit: Kit, make_picture: Make) -> None:
    """From a nanoVLM checkpoint, which nobody else converts, to an answer, each step a process of its own."""
    reference = build_nanovlm(tmp_path / "checkpoint", kit, "0.3")
    make_picture(200, 100, seed=2).save(tmp_path / "picture.png")
    bundle = tmp_path / "bundle"

    def run(*arguments: str | Path) -> dict[str, Any]:
        command = [sys.executable, "-m", "magicvl", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        data: dict[str, Any] = json.loads(done.stdout)
        return data

    run("convert", reference.checkpoint, bundle, "--tokenizer", str(reference.tokenizer), "--mmproj-type", "F32")
    planned = run("plan", tmp_path / "picture.png", "--model", bundle, "--no-predict")
    assert planned["resized"] == [256, 128] and planned["tiles"] == 9 and planned["overview"] == 0
    said = run("ask", tmp_path / "picture.png", "-p", PROMPT, "--model", bundle, "--max-tokens", "1")
    theirs = reference.look(Image.open(tmp_path / "picture.png"))
    with Engine(bundle, threads=1) as engine:
        assert said["answer"] == engine.inproc.model.piece(int(theirs.logits.argmax())).decode("utf-8", "replace")
    assert said["images"] == [{key: value for key, value in planned.items() if key != "tile_boxes"}]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, kit: Kit) -> dict[str, Reference]:
    """One of each kind, to copy and damage."""
    place = tmp_path_factory.mktemp("damage")
    return {
        "idefics3": build_idefics3(place / "idefics3", kit),
        "llava": build_llava(place / "llava", kit, -2),
        "nanovlm": build_nanovlm(place / "nanovlm", kit, "0.3"),
    }


@pytest.mark.parametrize(
    ("kind", "file", "changes", "words"),
    [
        ("idefics3", "config.json", {"model_type": "blip"}, "model_type 'blip'; checkpoints of magicvl, idefics3"),
        ("idefics3", "config.json", {"scale_factor": 3}, "the 8 patches of a side are no multiple"),
        ("idefics3", "config.json", {"image_token_id": None}, "image_token_id is None, the id of a token is due"),
        ("idefics3", "processor_config.json", {"do_image_splitting": "no"}, "do_image_splitting is 'no'"),
        ("idefics3", "processor_config.json", {"max_image_size": {"longest_edge": 32}}, "tiles of 64 px"),
        ("idefics3", "processor_config.json", {"resample": 0}, "resample is 0"),
        ("idefics3", "processor_config.json", {"rescale_factor": 1 / 127.5}, "rescale_factor is 0.0078"),
        ("llava", "config.json", {"vision_feature_select_strategy": "default"}, "computes 'full'"),
        ("llava", "config.json", {"vision_feature_layer": [-2, -5]}, "one layer of the encoder's 3"),
        ("llava", "config.json", {"vision_feature_layer": -4}, "one layer of the encoder's 3"),
        ("llava", "config.json", {"projector_hidden_act": "relu"}, "projector_hidden_act is 'relu'"),
        ("llava", "processor_config.json", {"do_center_crop": True}, "do_center_crop is True"),
        ("llava", "processor_config.json", {"size": {"height": 32, "width": 32}}, "squares of 64 px"),
        ("nanovlm", "config.json", {"vit_cls_flag": True}, "vit_cls_flag is True"),
        ("nanovlm", "config.json", {"mp_image_token_length": 64}, "the encoder makes 4"),
        ("nanovlm", "config.json", {"max_img_size": 100}, "no multiple of vit_img_size 64"),
        ("nanovlm", "config.json", {"lm_chat_template": None}, "lacks lm_chat_template"),
        ("nanovlm", "config.json", {"vlm_extra_tokens": {"image_token": "<i>", "r1c1": "<1>"}}, "r1c1"),
        ("nanovlm", "config.json", {"vlm_extra_tokens": {"image_token": "<i>", "r2c1": "<1>"}}, "lacks r1c1"),
        ("nanovlm", "config.json", {"vlm_extra_tokens": {"global_image_token": "<g>"}}, "lacks image_token and r1c1"),
        ("nanovlm", "config.json", {"lm_vocab_size": 390}, "the embedding table 390 rows"),
    ],
)
def test_what_cannot_be_converted_is_named(
    kind: str,
    file: str,
    changes: dict[str, Any],
    words: str,
    checkpoints: dict[str, Reference],
    tmp_path: Path,
) -> None:
    reference = checkpoints[kind]
    copy = Path(shutil.copytree(reference.checkpoint, tmp_path / "copy"))
    if file == "processor_config.json":
        nested = json.loads((copy / file).read_text())["image_processor"]
        changes = {"image_processor": nested | changes}
    edit(copy / file, **changes)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        convert(copy, tmp_path / "bundle", tokenizer=copy / "words" if kind == "nanovlm" else None)
    assert not (tmp_path / "bundle").exists()


def test_a_missing_tokenizer_names_the_option(checkpoints: dict[str, Reference], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the tokenizer of a/tokenizer by --tokenizer"):
        convert(checkpoints["nanovlm"].checkpoint, tmp_path / "bundle")
    with pytest.raises(CheckpointError, match="nowhere: no such directory"):
        convert(checkpoints["nanovlm"].checkpoint, tmp_path / "bundle", tokenizer=tmp_path / "nowhere")


def test_layers_that_llava_does_not_use_are_left_out_by_name(checkpoints: dict[str, Reference], tmp_path: Path) -> None:
    report = convert(checkpoints["llava"].checkpoint, tmp_path / "bundle")
    assert {name.split(".layers.")[-1][:2] for name in report.left_out if ".layers." in name} == {"2."}
    assert any("post_layernorm.weight" in name for name in report.left_out)


@pytest.mark.parametrize(
    "names",
    [
        {
            "language_model.model.": "model.language_model.",
            "language_model.lm_head.": "lm_head.",
            "vision_tower.": "model.vision_tower.",
            "multi_modal_projector.": "model.multi_modal_projector.",
        },
        {"vision_tower.": "vision_tower.vision_model."},
    ],
    ids=["as in memory", "as version 4 saved them"],
)
def test_names_of_other_versions_convert_to_the_same_bytes(
    names: dict[str, str], checkpoints: dict[str, Reference], tmp_path: Path
) -> None:
    # Under the same name, which stands in the files.
    copy = Path(shutil.copytree(checkpoints["llava"].checkpoint, tmp_path / "llava"))
    renamed = {}
    for name, weight in load_file(copy / "model.safetensors").items():
        old = next((old for old in names if name.startswith(old)), "")
        renamed[names.get(old, "") + name.removeprefix(old)] = weight
    assert not renamed.keys() & {name for name in load_file(copy / "model.safetensors") if "vision_tower" in name}
    save_file(renamed, copy / "model.safetensors")
    for place, bundle in ((checkpoints["llava"].checkpoint, "saved"), (copy, "renamed")):
        convert(place, tmp_path / bundle)
    for name in ("llm.gguf", "mmproj.gguf"):
        assert (tmp_path / "saved" / name).read_bytes() == (tmp_path / "renamed" / name).read_bytes()


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        # The last layer of this encoder is left out, and whoever changes it is refused.
        ("llava", r".*(language_model.*q_proj|layers\.[01]\.mlp\.fc1|linear_2)"),
        ("idefics3", ["q_proj", "fc1", "proj"]),
    ],
)
def test_an_adapter_finds_its_place_in_what_transformers_saved(
    kind: str, targets: str | list[str], checkpoints: dict[str, Reference], tmp_path: Path
) -> None:
    """PEFT names the modules in memory, which for LLaVA are not the names on disk."""
    place = checkpoints[kind].checkpoint
    loaded = AutoModelForImageTextToText.from_pretrained(place)
    model = get_peft_model(loaded, LoraConfig(target_modules=targets, r=2))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(0.0, 0.1)
    model.save_pretrained(tmp_path / "lora")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    before, after = (load_file(where / "model.safetensors") for where in (place, tmp_path / "merged"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    report = convert(place, tmp_path / "bundle", adapter=tmp_path / "lora")
    assert {change.source for change in report.adapter} == changed and len(changed) > 4


@pytest.mark.parametrize("kind", ["BF16", "Q8_0", "Q5_0", "Q4_0"])
def test_types_of_the_encoder_stay_within_their_tolerance(
    kind: str, checkpoints: dict[str, Reference], tmp_path: Path, make_picture: Make
) -> None:
    """The least cosine of any token, in every graph that the runtime has for us."""
    for name, reference in checkpoints.items():
        convert(reference.checkpoint, tmp_path / name, mmproj_type=kind, tokenizer=reference.tokenizer)
        file = read_gguf(tmp_path / name / "mmproj.gguf")
        types = {tensor.type for tensor in file.tensors.values()}
        assert kind in types and types <= {kind, "F32", "F16"}
        with Engine(tmp_path / name, threads=1) as engine:
            picture = make_picture(200, 130, seed=4)
            cosine = least_cosine(np.concatenate(engine.embed(picture)), reference.look(picture).embeddings)
        assert cosine >= TOLERANCES[kind].cosine, f"{name}: {cosine:.6f}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_smolvlms_encoder_is_the_file_that_llama_cpp_writes(tmp_path: Path, kit: Kit, upstream: Any) -> None:
    """The same keys and values but for names, the same tensors to the byte, in F16 and F32."""
    reference = BUILD["smolvlm"](tmp_path / "checkpoint", kit)
    for kind in ("f16", "f32"):
        convert(reference.checkpoint, tmp_path / kind, mmproj_type=kind.upper())
        upstream.check_mmproj(tmp_path / kind / "mmproj.gguf", reference.checkpoint, kind)


def test_parity_holds_every_stage_to_the_reference(made: Made) -> None:
    """`magicvl parity` asks transformers' own classes, and nanoVLM written a second time."""
    reference = made.reference
    found = parity(reference.checkpoint, made.bundle, threads=1, tokenizer=reference.tokenizer)
    assert found.passed, found.to_text()
    names = [stage.name for stage in found.stages]
    assert names[:3] == ["token ids", "plan", "pixels"] and "encoder block 0" in names
    assert names[-3:] == ["visual embeddings", "logits", "greedy answers"]
    assert all(stage.passed and stage.compared for stage in found.stages)
    assert len(found.pictures) == 6


def test_parity_finds_a_fault_in_a_nanovlm_at_its_stage(
    checkpoints: dict[str, Reference], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What our own table of names would not see: two tensors of the checkpoint under each other's names."""
    reference = checkpoints["nanovlm"]
    copy = Path(shutil.copytree(reference.checkpoint, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    first, second = ("vision_encoder.blocks.1.ln1.weight", "vision_encoder.blocks.1.ln2.weight")
    weights |= {first: weights[second], second: weights[first]}
    save_file(weights, copy / "model.safetensors")
    convert(copy, tmp_path / "bundle", mmproj_type="F32", tokenizer=reference.tokenizer)
    words = ["--tokenizer", str(reference.tokenizer), "--threads", "1"]
    assert cli.run(["parity", str(reference.checkpoint), str(tmp_path / "bundle"), *words]) == 1
    assert "failed at: encoder block 1 (llm F16, mmproj F32)" in capfd.readouterr().out
    assert cli.run(["parity", str(reference.checkpoint), str(tmp_path / "bundle")]) == 1
    assert "a/tokenizer by --tokenizer" in capfd.readouterr().err
    assert cli.run(["parity", str(checkpoints["llava"].checkpoint), str(tmp_path / "bundle"), *words]) == 1
    assert "leave --tokenizer out" in capfd.readouterr().err


def test_a_nanovlm_that_lacks_a_tensor_is_named_by_parity(checkpoints: dict[str, Reference], tmp_path: Path) -> None:
    reference = checkpoints["nanovlm"]
    copy = Path(shutil.copytree(reference.checkpoint, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    del weights["decoder.norm.weight"], weights["decoder.rotary_embd.inv_freq"]
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match=r'Missing key\(s\) in state_dict: "decoder\.norm\.weight"\.$'):
        NanoVLMReference(copy, copy / "words")
