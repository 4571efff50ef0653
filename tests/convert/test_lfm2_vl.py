"""LFM2-VL: cut, encoded and answered as transformers' own processor and model do it.

Its image processor needs torchvision. A stand-in of three functions serves here, each by the call of torch that
torchvision makes of it on a CPU; every line of transformers is its own.
"""

import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from math import floor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Lfm2VlConfig, Lfm2VlForConditionalGeneration, PreTrainedTokenizerFast
from transformers import image_processing_backends as backends

from magicvl.convert.bundle import convert
from magicvl.convert.parity import parity
from magicvl.convert.tokenizer_json import vocabulary_from_gguf
from magicvl.convert.tolerance import TOLERANCES
from magicvl.convert.vocabulary import PRE_TOKENIZERS
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Model
from magicvl.edge.pixels import cut
from magicvl.edge.plan import Grid, plan
from magicvl.edge.reference_sizes import Lfm2Rules, lfm2_splits
from magicvl.edge.request import open_and_cut
from magicvl.errors import CheckpointError

Floats = npt.NDArray[np.float32]

PROMPT = "What is in the picture?"
TURN = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]
TEMPLATE = (
    "{% for m in messages %}<|user|>{{ m['role'] }}: {% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}"
    "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOKENS = (
    "<image>",
    "<|img_thumbnail|>",
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 7) for column in range(1, 7)),
)
SIZES = [(300, 200), (64, 64), (40, 91), (333, 500), (130, 7), (20, 15)]
"""Split twice, each way up; as they come; enlarged; a strip; tiny."""


class Interpolation(Enum):
    """torchvision's names of torch's."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def resize(image: torch.Tensor, size: list[int], interpolation: Interpolation, antialias: bool) -> torch.Tensor:
    return functional.interpolate(
        image, tuple(size), mode=interpolation.value, antialias=antialias, align_corners=False
    )


def normalize(image: torch.Tensor, mean: Any, std: Any, inplace: bool = False) -> torch.Tensor:
    mean, std = (torch.as_tensor(each, dtype=image.dtype).view(-1, 1, 1) for each in (mean, std))
    return (image - mean) / std


@pytest.fixture(scope="module")
def own(module_patch: pytest.MonkeyPatch) -> Any:
    """transformers' module of LFM2-VL's image processor, for as long as this module's tests run."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.v2")
    modules = {name: ModuleType(name) for name in names}
    functions = ModuleType("torchvision.transforms.v2.functional")
    vars(functions).update(InterpolationMode=Interpolation, resize=resize, normalize=normalize)
    vars(modules[names[-1]])["functional"] = functions
    name = "transformers.models.lfm2_vl.image_processing_lfm2_vl"
    with pytest.MonkeyPatch.context() as patch:
        for each, module in modules.items():
            patch.setitem(sys.modules, each, module)
        loaded = importlib.import_module(name)
    filters = {Image.Resampling[each.name]: each for each in Interpolation}
    module_patch.setattr(backends, "tvF", functions, raising=False)
    module_patch.setattr(backends, "pil_torch_interpolation_mapping", filters)
    yield loaded
    # What was loaded beside the stand-in must not outlive it.
    sys.modules.pop(name, None)
    vars(sys.modules[name.rpartition(".")[0]]).pop(name.rpartition(".")[2], None)


@pytest.fixture(scope="module")
def module_patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@dataclass(frozen=True)
class Kit:
    """What every checkpoint here is built of."""

    tokenizer: PreTrainedTokenizerFast
    own: Any
    spread: Callable[[torch.nn.Module], torch.nn.Module]
    """Gives a model its random weights."""


@dataclass(frozen=True)
class Kind:
    """One checkpoint: what of the model and its processor differs from the others."""

    text: dict[str, Any]
    model: dict[str, Any]
    processor: dict[str, Any]


LFM2 = {
    "model_type": "lfm2",
    "num_hidden_layers": 4,
    "layer_types": ["conv", "full_attention", "conv", "full_attention"],
    "intermediate_size": 390,
    "block_multiple_of": 32,
    "norm_eps": 1e-5,
}
KINDS = {
    "lfm2": Kind(LFM2, {}, {}),
    "lfm2, wide kernel, no thumbnail": Kind(
        LFM2 | {"conv_L_cache": 4, "block_auto_adjust_ff_dim": False, "layer_types": ["conv"] * 3 + ["full_attention"]},
        {"tie_word_embeddings": False},
        {"use_thumbnail": False, "resample": 3},
    ),
    "llama, no norm": Kind(
        {"model_type": "llama", "head_dim": 32}, {"projector_use_layernorm": False}, {"image_mean": [0.4] * 3}
    ),
    "qwen3, never split": Kind(
        {"model_type": "qwen3", "head_dim": 32}, {}, {"do_image_splitting": False, "max_image_tokens": 30}
    ),
}


@dataclass(frozen=True)
class Made:
    """A checkpoint, its own model and processor, and the bundle that we converted it to."""

    checkpoint: Path
    bundle: Path
    model: Any
    processor: Any

    def inputs(self, picture: Image.Image) -> Any:
        text = self.processor.apply_chat_template(TURN, add_generation_prompt=True)
        return self.processor(images=[picture], text=text, return_tensors="pt")

    def features(self, inputs: Any) -> list[Floats]:
        keys = ("pixel_values", "spatial_shapes", "pixel_attention_mask")
        with torch.no_grad():
            found = self.model.get_image_features(*(inputs[key] for key in keys)).pooler_output
        return [each.numpy() for each in found]


def build(place: Path, kit: Kit, kind: Kind, **vision: Any) -> Made:
    from transformers.models.lfm2_vl.processing_lfm2_vl import Lfm2VlProcessor

    words = deepcopy(kit.tokenizer)
    words.add_special_tokens({"additional_special_tokens": list(TOKENS)})
    words.chat_template = TEMPLATE
    text = {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
        "vocab_size": len(words),
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
        "eos_token_id": words.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": None,
    } | kind.text
    encoder = {
        "model_type": "siglip2_vision_model",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "patch_size": 8,
        "num_patches": 64,
        "vision_use_head": False,
    } | vision
    config = Lfm2VlConfig(
        vision_config=encoder,
        text_config=text,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        projector_hidden_size=96,
        **kind.model,
    )
    model = kit.spread(Lfm2VlForConditionalGeneration(config))
    model.save_pretrained(place)
    patch = encoder["patch_size"]
    cuts = {"tile_size": 8 * patch, "min_image_tokens": 4, "max_image_tokens": 16, "min_tiles": 2, "max_tiles": 6}
    pictures = kit.own.Lfm2VlImageProcessor(encoder_patch_size=patch, **(cuts | kind.processor))
    processor = Lfm2VlProcessor(pictures, words, chat_template=TEMPLATE)
    processor.save_pretrained(place)
    return Made(place, place.with_name("bundle"), model, processor)


@pytest.fixture(scope="module")
def kit(tiny_tokenizer: PreTrainedTokenizerFast, own: Any, spread: Any) -> Kit:
    return Kit(tiny_tokenizer, own, spread)


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kit: Kit) -> Made:
    found = build(tmp_path_factory.mktemp("lfm2-vl") / "checkpoint", kit, KINDS[request.param])
    convert(found.checkpoint, found.bundle, mmproj_type="F32")
    return found


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory, kit: Kit) -> Made:
    """The one that the other tests copy and damage."""
    found = build(tmp_path_factory.mktemp("lfm2-vl") / "checkpoint", kit, KINDS["lfm2"])
    convert(found.checkpoint, found.bundle, mmproj_type="F32")
    return found


def pixels_of(inputs: Any, tile: int, patch: int) -> Floats:
    """(height, width, 3) of one tile, put together of its patches."""
    rows, columns = inputs["spatial_shapes"][tile].tolist()
    patches = inputs["pixel_values"][tile, : rows * columns].numpy()
    grid = patches.reshape(rows, columns, patch, patch, 3).transpose(0, 2, 1, 3, 4)
    whole: Floats = grid.reshape(rows * patch, columns * patch, 3)
    return whole


def cosines(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Floats:
    a, b = np.concatenate(ours), np.concatenate(theirs)
    found: Floats = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


def test_pixels_tokens_embeddings_and_logits(made: Made, make_picture: Any) -> None:
    with Engine(made.bundle, threads=1) as engine:
        picture_info = engine.lock.picture
        counts = set()
        for seed, size in enumerate(SIZES):
            picture = make_picture(*size, seed=seed)
            inputs = made.inputs(picture)
            planned, tiles = open_and_cut(picture, engine.lock, None)
            counts.add(len(tiles))
            theirs = [pixels_of(inputs, i, 8) for i in range(len(inputs["spatial_shapes"]))]
            assert [tile.shape for tile in tiles] == [each.shape for each in theirs], size
            mean, std = np.asarray(picture_info.mean), np.asarray(picture_info.std)
            gaps = [
                np.abs((tile / 255 - mean) / std - each) * 255 * std for tile, each in zip(tiles, theirs, strict=True)
            ]
            # torch rounds the filter's weights otherwise than Pillow.
            assert max(float(gap.max()) for gap in gaps) <= 2.01 and np.mean(gaps[0] > 0.5) < 0.05, size
            features = made.features(inputs)
            assert list(planned.tile_tokens) == [len(each) for each in features]
            found = cosines(engine.embed(picture), features)
            assert found.min() >= TOLERANCES["F16"].cosine and np.median(found) >= TOLERANCES["F32"].cosine, size
            request = engine._prepare([picture], PROMPT, None, None)
            placeholder = made.model.config.image_token_id
            ids: list[int] = []
            for part in request.parts:
                ids += part if isinstance(part, list) else [placeholder] * (part.shape[0] * part.shape[1] // 256)
            assert ids == inputs["input_ids"][0].tolist(), size
            with torch.no_grad():
                logits = made.model(**inputs).logits[0, -1].numpy()
            error = float(np.sqrt(((engine.logits(picture, PROMPT) - logits) ** 2).mean()) / logits.std())
            assert error <= TOLERANCES["F16"].logits, f"{size}: {error:.4f}"
        splits = picture_info.max_tiles > 1
        assert (max(counts) > 2) == splits and 1 in counts


def test_answers_token_by_token_and_one_after_another(hybrid: Made, make_picture: Any) -> None:
    """The convolutions' state goes on from token to token, and nothing of an answer is left for the next one."""
    pictures = [make_picture(90 + 20 * i, 70, seed=i) for i in range(4)]
    with Engine(hybrid.bundle, threads=1) as engine:
        first = [engine.ask(picture, PROMPT, max_tokens=12) for picture in pictures]
        assert [engine.ask(picture, PROMPT, max_tokens=12) for picture in reversed(pictures)] == first[::-1]
        # A prompt that only begins like the last one, which a convolution's state cannot be cut back to.
        other = engine.ask(pictures[0], "How many stars are there?", max_tokens=12)
        with Engine(hybrid.bundle, threads=1) as fresh:
            assert fresh.ask(pictures[0], "How many stars are there?", max_tokens=12) == other
        compared = 0
        for picture, answer in zip(pictures, first, strict=True):
            inputs = hybrid.inputs(picture)
            done = hybrid.model.generate(
                **inputs, max_new_tokens=12, do_sample=False, output_logits=True, return_dict_in_generate=True
            )
            steps = torch.cat(done.logits)
            best = steps.topk(2).values
            leads = ((best[:, 0] - best[:, 1]) / steps.std(dim=-1)).tolist()
            ids = done.sequences[0, inputs["input_ids"].shape[1] :].tolist()
            # Up to the first token that torch itself wavers about.
            sure = next((i for i, lead in enumerate(leads) if lead < 0.05), len(ids))
            said = b"".join(engine.inproc.model.piece(token) for token in ids[:sure]).decode("utf-8", "replace")
            # The rest of a character may come with the next token.
            assert answer.startswith(said.rstrip("\ufffd"))
            compared += sure
    assert compared >= 20, "too many ties: this test shows little"


def test_a_look_can_be_predicted(made: Made, check_prediction: Callable[[Path], None]) -> None:
    check_prediction(made.bundle)


UNIT = st.sampled_from([(16, 2), (14, 2), (8, 1), (8, 3)])
SIDES = st.integers(1, 6000) | st.integers(1, 200) | st.sampled_from([16, 31, 32, 48, 512, 513, 1024, 2048, 4096])


@settings(deadline=None)
@given(SIDES, SIDES, UNIT, st.integers(1, 300), st.integers(0, 300), st.integers(1, 4), st.integers(0, 9), st.data())
def test_the_plan_is_the_processors_own(
    own: Any, width: int, height: int, unit: tuple[int, int], least: int, more: int, fewest: int, tiles: int, data: Any
) -> None:
    """Whatever the settings: whether it splits, into which grid, and the size of the whole picture."""
    patch, factor = unit
    side = patch * factor
    tile = side * data.draw(st.integers(1, 16), label="tile")
    tolerance = data.draw(st.sampled_from([1.0, 1.5, 2.0, 3.3]), label="tolerance")
    most, largest = least + more, max(2, fewest + tiles)
    theirs = own.Lfm2VlImageProcessor()
    rules = Lfm2Rules(patch, least, most, fewest, max(1, floor(most * side**2 * tolerance)))
    grid = Grid(side, tile, largest + 1, policy="lfm2", lfm2=rules)
    large = theirs._is_image_too_large(height, width, most, patch, factor, tolerance)
    assert lfm2_splits(width, height, side, rules) == large
    whole = theirs.smart_resize(height, width, factor, least, most, patch)
    # Past what their patches are padded to, their model fails.
    fits = whole[0] * whole[1] <= max(most * side**2, tile**2)
    made = plan(width, height, grid)
    if large:
        columns, rows, *resized, _ = theirs._get_grid_layout(height, width, fewest, largest, tile)
        assert (made.columns, made.rows, made.resized) == (columns, rows, tuple(resized))
        assert made.overview_size in ((whole if fits else made.overview_size), None)
        assert (made.overview is None) == (columns * rows == 1)
    else:
        assert made.tile_boxes == ((0, 0, *made.resized),)
        assert not fits or made.resized == whole
    assert made.tokens <= grid.max_tokens and max(made.tile_tokens) <= grid.tile_tokens


def test_parity_asks_transformers(made: Made) -> None:
    found = parity(made.checkpoint, made.bundle, threads=1)
    assert found.passed, found.to_text()
    names = {"token ids", "plan", "pixels", "encoder block 2", "visual embeddings", "logits", "greedy answers"}
    assert names <= {stage.name for stage in found.stages}
    # The plan compares split pictures too, where the model splits any.
    assert max(stage.compared for stage in found.stages if stage.name == "plan") >= 5


@pytest.mark.parametrize(
    ("name", "fault", "stage"),
    [
        ("layers.0.conv.conv.weight", lambda weight: weight.flip(-1), "logits"),
        ("multi_modal_projector.linear_1.weight", lambda weight: weight.roll(64, 1), "visual embeddings"),
    ],
)
def test_parity_names_the_stage_of_a_fault(name: str, fault: Any, stage: str, hybrid: Made, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "checkpoint"))
    weights = load_file(copy / "model.safetensors")
    (full,) = [each for each in weights if each.endswith(name)]
    save_file(weights | {full: fault(weights[full]).contiguous()}, copy / "model.safetensors", {"format": "pt"})
    convert(copy, tmp_path / "bundle", mmproj_type="F32")
    found = parity(hybrid.checkpoint, tmp_path / "bundle", threads=1)
    assert found.failed_at == stage, found.to_text()


def test_without_torchvision_parity_says_so(hybrid: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers.models.lfm2_vl.image_processing_lfm2_vl", None)
    with pytest.raises(CheckpointError, match="pip install torchvision"):
        parity(hybrid.checkpoint, hybrid.bundle, threads=1)


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def older_names(place: Path) -> None:
    """The encoder's tensors as transformers 4 saved them."""
    weights = load_file(place / "model.safetensors")
    renamed = {name.replace("vision_tower.", "vision_tower.vision_model."): each for name, each in weights.items()}
    save_file(renamed, place / "model.safetensors", {"format": "pt"})


def first_generation(place: Path) -> None:
    """A checkpoint as Liquid's own code wrote it: other names of tensors, keys and files."""
    older_names(place)
    config = json.loads((place / "config.json").read_text())
    text = config["text_config"]
    text |= {"block_ff_dim": text["intermediate_size"], "rope_theta": text.pop("rope_parameters")["rope_theta"]}
    text |= {"intermediate_size": 1, "full_attn_idxs": [1, 3], "layer_types": None}
    config |= {"model_type": "lfm2-vl", "image_token_index": config.pop("image_token_id"), "vision_feature_layer": -1}
    del config["tie_word_embeddings"]
    (place / "config.json").write_text(json.dumps(config))
    pictures = json.loads((place / "processor_config.json").read_text())["image_processor"]
    own = {"image_mean", "image_std", "resample", "rescale_factor", "do_rescale", "do_normalize"}
    outer = {key: value for key, value in pictures.items() if key not in own}
    inner = {key: value for key, value in pictures.items() if key in own}
    (place / "preprocessor_config.json").write_text(json.dumps(inner | {"do_resize": False}))
    (place / "processor_config.json").write_text(json.dumps(outer | {"use_thumbnail": True}))


def test_the_first_generation_converts_to_the_same_bundle(hybrid: Made, tmp_path: Path) -> None:
    # Under the same name, which stands in the files.
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "checkpoint"))
    first_generation(copy)
    convert(copy, tmp_path / "bundle", mmproj_type="F32")
    for name in ("llm.gguf", "mmproj.gguf"):
        assert (tmp_path / "bundle" / name).read_bytes() == (hybrid.bundle / name).read_bytes(), name
    old, new = (read_bundle(place).lock for place in (hybrid.bundle, tmp_path / "bundle"))
    assert (old.picture, old.pieces, old.vision, old.language) == (new.picture, new.pieces, new.vision, new.language)
    with pytest.raises(CheckpointError, match="save the checkpoint with it first"):
        parity(copy, tmp_path / "bundle", threads=1)


def test_layers_past_the_feature_layer_are_left_out(hybrid: Made, tmp_path: Path, make_picture: Any) -> None:
    """Liquid's code cuts the encoder there and norms what comes out; so does the bundle."""
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "checkpoint"))
    edit(copy / "config.json", model_type="lfm2-vl", vision_feature_layer=-2)
    report = convert(copy, tmp_path / "bundle", mmproj_type="F32")
    assert {name.split(".layers.")[-1][:2] for name in report.left_out if ".layers." in name} == {"2."}
    picture = make_picture(90, 64, seed=3)
    shorter = deepcopy(hybrid.model)
    del shorter.model.vision_tower.encoder.layers[2:]
    shorter.model.vision_tower.encoder.config.num_hidden_layers = 2
    cropped = Made(copy, tmp_path / "bundle", shorter, hybrid.processor)
    with Engine(tmp_path / "bundle", threads=1) as engine:
        found = cosines(engine.embed(picture), cropped.features(hybrid.inputs(picture)))
    assert found.min() >= TOLERANCES["F16"].cosine


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("config.json", {"projector_bias": False}, "projector_bias is False"),
        ("config.json", {"projector_hidden_act": "relu"}, "projector_hidden_act is 'relu'"),
        ("config.json", {"vision_feature_layer": 1}, "vision_feature_layer is 1, -3 to -1 can be converted"),
        ("config.json", {"vision_feature_layer": -3}, "not heed, and the 2 layers after it are there"),
        ("config.json", {"image_token_id": None}, "image_token_id is None, the id of a token is due"),
        ("config.json", {"downsample_factor": 3}, "downsample_factor is 2, the runtime computes 3"),
        ("text_config", {"conv_bias": True}, "conv_bias is True"),
        ("text_config", {"layer_types": ["conv"] * 3}, "a list of 4 kinds is due"),
        ("text_config", {"layer_types": ["conv", "mamba"] * 2}, "layers of 'mamba', 'full_attention' or 'conv' is due"),
        ("text_config", {"conv_L_cache": 1}, "conv_L_cache is 1, the runtime computes 2 or more"),
        ("text_config", {"model_type": "lfm2_moe"}, "model_type is 'lfm2_moe'"),
        ("vision_config", {"num_patches": 60}, "num_patches is 60, a square number is due"),
        ("image_processor", {"tile_size": 72}, "no multiple of the token's 16 px"),
        ("image_processor", {"min_image_tokens": 17}, "min_image_tokens is 17, max_image_tokens 16"),
        ("image_processor", {"max_tiles": 65}, "up to 64 tiles can be cut"),
        ("image_processor", {"min_tiles": 7}, "min_tiles is 7, max_tiles 6"),
        ("image_processor", {"encoder_patch_size": 16}, "encoder_patch_size is 16"),
        ("image_processor", {"max_pixels_tolerance": 0}, "max_pixels_tolerance is 0"),
        ("image_processor", {"do_normalize": False}, "do_normalize is False"),
    ],
)
def test_what_cannot_be_converted_is_named(
    file: str, changes: dict[str, Any], words: str, hybrid: Made, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "copy"))
    if file != "config.json":
        part, file = file, "processor_config.json" if file == "image_processor" else "config.json"
        changes = {part: json.loads((copy / file).read_text())[part] | changes}
    edit(copy / file, **changes)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        convert(copy, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_prompts_without_special_tokens(hybrid: Made, tmp_path: Path, make_picture: Any) -> None:
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "copy"))
    edit(copy / "processor_config.json", use_image_special_tokens=False)
    convert(copy, tmp_path / "bundle")
    picture = make_picture(300, 200, seed=0)
    text = hybrid.processor.apply_chat_template(TURN, add_generation_prompt=True)
    theirs = hybrid.processor(images=[picture], text=text, use_image_special_tokens=False)["input_ids"][0]
    with Engine(tmp_path / "bundle", threads=1) as engine:
        request = engine._prepare([picture], PROMPT, None, None)
    assert request.tokens == len(theirs)
    words = [token for part in request.parts if isinstance(part, list) for token in part]
    assert words == [token for token in theirs if token != hybrid.model.config.image_token_id]


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q8_0", "Q4_K_M"])
def test_convolutions_stay_in_f32(kind: str, hybrid: Made, tmp_path: Path, make_picture: Any) -> None:
    report = convert(hybrid.checkpoint, tmp_path / "bundle", llm_type=kind)
    file = read_gguf(tmp_path / "bundle" / "llm.gguf")
    kernels = {name: tensor for name, tensor in file.tensors.items() if name.endswith("shortconv.conv.weight")}
    assert {(tensor.type, tensor.shape) for tensor in kernels.values()} == {("F32", (3, 128))} and len(kernels) == 2
    assert file.metadata["lfm2.attention.head_count_kv"] == (0, 2, 0, 2)
    assert not any("shortconv.conv" in each for names in report.fallbacks.values() for each in names)
    picture = make_picture(90, 64, seed=3)
    inputs = hybrid.inputs(picture)
    with torch.no_grad():
        logits = hybrid.model(**inputs).logits[0, -1].numpy()
    with Engine(tmp_path / "bundle", threads=1) as engine:
        gap = engine.logits(picture, PROMPT) - logits
    assert gap.std() / logits.std() <= TOLERANCES[kind].logits


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("merge", [False, True])
def test_adapters_of_convolutions_and_attention(merge: bool, hybrid: Made, tmp_path: Path, make_picture: Any) -> None:
    """As PEFT merges them; `out_proj` is in the convolutions, the attention and the encoder."""
    torch.manual_seed(3)
    targets = ["in_proj", "out_proj", "q_proj", "w1", "linear_1"]
    adapted: Any = get_peft_model(deepcopy(hybrid.model), LoraConfig(target_modules=targets, r=4, lora_alpha=8))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0.0, 0.15)
    adapted.save_pretrained(tmp_path / "adapter")
    report = convert(
        hybrid.checkpoint, tmp_path / "bundle", mmproj_type="F32", adapter=tmp_path / "adapter", merge=merge
    )
    # In order of the targets.
    assert len(report.adapter) == 2 + (2 + 2 + 3) + (2 + 3) + 4 + 1
    assert (tmp_path / "bundle" / "lora.gguf").exists() != merge
    picture = make_picture(90, 64, seed=3)
    with torch.no_grad():
        logits = adapted.merge_and_unload().eval()(**hybrid.inputs(picture)).logits[0, -1].numpy()
    with Engine(tmp_path / "bundle", threads=1) as engine:
        gap = engine.logits(picture, PROMPT) - logits
    assert gap.std() / logits.std() <= TOLERANCES["F16"].logits


def test_llama_3s_pre_tokenizer_has_its_own_name_in_files_of_lfm2(hybrid: Made, tmp_path: Path) -> None:
    """The words are cut alike, and so are the ids."""
    copy = Path(shutil.copytree(hybrid.checkpoint, tmp_path / "copy"))
    data = json.loads((copy / "tokenizer.json").read_text())
    data["model"]["ignore_merges"] = True
    steps = [step | {"trim_offsets": True} for step in PRE_TOKENIZERS["llama-bpe"].steps]
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    (copy / "tokenizer.json").write_text(json.dumps(data))
    convert(copy, tmp_path / "bundle")
    file = read_gguf(tmp_path / "bundle" / "llm.gguf")
    assert file.text("tokenizer.ggml.pre") == "lfm2"
    assert vocabulary_from_gguf(file).pre == "lfm2"
    theirs = Tokenizer.from_file(str(copy / "tokenizer.json"))
    with Model(file.path) as model:
        for text in ("There are 12345 stars, aren't there?", "naïve Straße 東京\n\n  x = 1905", "<image><|end|>"):
            assert model.tokenise(text, special=True) == theirs.encode(text, add_special_tokens=False).ids


def test_a_budget_takes_fewer_tiles_then_none() -> None:
    grid = Grid(16, 64, 7, policy="lfm2", lfm2=Lfm2Rules(8, 4, 16, 2, 8192))
    free = plan(300, 200, grid)
    assert (free.columns, free.rows, free.tokens, free.overview, free.overview_size) == (3, 2, 108, 6, (64, 48))
    fewer = plan(300, 200, grid, 107)
    assert (fewer.columns, fewer.rows, fewer.tokens) == (2, 2, 76)
    whole = plan(300, 200, grid, 40)
    assert (whole.resized, whole.tokens, whole.overview) == ((64, 48), 12, None)
    for budget in range(1, 110):
        assert plan(300, 200, grid, budget).tokens <= budget


def test_the_overview_is_made_of_the_picture_as_it_came(make_picture: Any) -> None:
    grid = Grid(16, 64, 7, policy="lfm2", lfm2=Lfm2Rules(8, 4, 16, 2, 8192))
    picture = make_picture(300, 200)
    tiles = cut(picture, plan(300, 200, grid))
    assert np.array_equal(tiles[-1], np.asarray(picture.resize((64, 48), Image.Resampling.BILINEAR)))
    whole = np.asarray(picture.resize((192, 128), Image.Resampling.BILINEAR))
    assert np.array_equal(tiles[4], whole[64:, 64:128])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_encoder_is_the_file_that_llama_cpp_writes(tmp_path: Path, kit: Kit, upstream: Any) -> None:
    """The same keys and values but for names, the same tensors to the byte, in F16 and F32."""
    # Upstream writes these two whatever the checkpoint says: patches of 16 px, a table of 16 x 16.
    made = build(tmp_path / "checkpoint", kit, KINDS["lfm2"], patch_size=16, num_patches=256)
    # It does not know the names that transformers 5 saves.
    older_names(made.checkpoint)
    for kind in ("f16", "f32"):
        convert(made.checkpoint, tmp_path / kind, mmproj_type=kind.upper())
        upstream.check_mmproj(tmp_path / kind / "mmproj.gguf", made.checkpoint, kind)
