"""PEFT adapters: merged or as lora.gguf, against PEFT's own merge_and_unload."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file

from magicvl import cli
from magicvl.convert.adapter_names import find_places
from magicvl.convert.bundle import convert
from magicvl.convert.restore import restore
from magicvl.convert.tolerance import TOLERANCES
from magicvl.edge.bundle import read_bundle, sha256
from magicvl.edge.engine import Engine
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.prompt import ask_messages
from magicvl.errors import BundleError, CheckpointError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.mmproj.processing import MagicVLProcessor

# PEFT asks transformers by a name that it is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

Build = Callable[..., MagicVLForConditionalGeneration]
Adapted = Callable[..., tuple[Path, Any]]
PROMPT = "What is in the picture?"
LLM = r".*language_model.*\.(q_proj|k_proj|v_proj|down_proj)"
BOTH = ["q_proj", "k_proj", "o_proj", "up_proj", "fc1", "out_proj", "linear_1"]


@pytest.fixture(scope="module")
def adapted(build_tiny: Build, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    """Makes an adapter directory, and the model that PEFT merges it to."""

    def make(targets: str | list[str], **config: Any) -> tuple[Path, Any]:
        directory = tmp_path_factory.mktemp("lora")
        torch.manual_seed(3)
        # The same model that tiny_checkpoint holds.
        model = get_peft_model(build_tiny(), LoraConfig(target_modules=targets, **({"r": 4, "lora_alpha": 8} | config)))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_" in name:
                    weight.normal_(0.0, 0.15)
        model.save_pretrained(directory)
        return directory, model.merge_and_unload().eval()

    return make


def torch_sides(model: Any, checkpoint: Path, picture: Image.Image) -> tuple[Any, Any]:
    inputs = MagicVLProcessor.from_pretrained(checkpoint)(ask_messages(PROMPT, 1), [picture])
    with torch.no_grad():
        embeddings = model.model.encode_tiles(inputs["pixel_values"], inputs["spatial_shapes"])
        return torch.cat(embeddings).numpy(), model(**inputs).logits[0, -1].numpy()


def sides(bundle: Path, picture: Image.Image) -> tuple[Any, Any]:
    with Engine(bundle, threads=1) as engine:
        return np.concatenate(engine.embed(picture)), engine.logits(picture, PROMPT)


def logit_error(ours: Any, theirs: Any) -> float:
    return float(np.sqrt(((ours - theirs) ** 2).mean()) / theirs.std())


def least_cosine(a: Any, b: Any) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(
    ("targets", "config"),
    [
        (LLM, {}),
        (BOTH, {"use_rslora": True, "rank_pattern": {"up_proj": 6}, "alpha_pattern": {r"layers\.1\..*o_proj": 3}}),
    ],
    ids=["decoder", "both halves, patterns, rslora"],
)
def test_the_same_as_peft_merges(
    merge: bool,
    targets: str | list[str],
    config: dict[str, Any],
    adapted: Adapted,
    tiny_checkpoint: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    make_picture: Callable[..., Image.Image],
) -> None:
    adapter, merged = adapted(targets, **config)
    report = convert(tiny_checkpoint, tmp_path / "bundle", mmproj_type="F32", adapter=adapter, merge=merge)
    picture = make_picture(450, 100, seed=2)
    embeddings, logits = torch_sides(merged, tiny_checkpoint, picture)
    ours, our_logits = sides(tmp_path / "bundle", picture)
    base, base_logits = sides(tiny_bundle, picture)
    assert least_cosine(ours, embeddings) >= TOLERANCES["F32"].cosine
    assert logit_error(our_logits, logits) <= TOLERANCES["F16"].logits
    assert logit_error(base_logits, logits) > 0.2, "the adapter does next to nothing: this test shows little"
    vision = isinstance(targets, list)
    assert (least_cosine(ours, base) < 0.999) == vision
    apart = {change.source for change in report.adapter if change.how == "lora.gguf"}
    assert bool(apart) != merge
    assert all(name.startswith("model.language_model.") for name in apart)
    assert (tmp_path / "bundle" / "lora.gguf").exists() != merge
    assert ("lora" in read_bundle(tmp_path / "bundle").lock.files) != merge


def test_the_report_says_what_was_changed_and_by_how_much(
    adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adapter, merged = adapted(BOTH)
    arguments = ["convert", str(tiny_checkpoint), str(tmp_path / "bundle"), "--adapter", str(adapter)]
    assert cli.run([*arguments, "--json"]) == 0
    changes = json.loads(capfd.readouterr().out)["adapter"]
    base, after = load_file(tiny_checkpoint / "model.safetensors"), merged.state_dict()
    changed = {name for name, tensor in base.items() if not torch.equal(tensor, after[name])}
    assert {change["source"] for change in changes} == changed
    for change in changes:
        before = base[change["source"]]
        expected = float((after[change["source"]] - before).norm() / before.norm())
        assert change["change"] == pytest.approx(expected, rel=1e-3)
    assert read_bundle(tmp_path / "bundle").lock.report["adapter"] == changes
    assert cli.run([*arguments, "--merge", "--force"]) == 0
    assert f"adapter: {len(changes)} tensors merged, 0 in lora.gguf" in capfd.readouterr().out


def damaged(adapter: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    edit(tensors)
    save_file(tensors, adapter / "adapter_model.safetensors")


def refusal(checkpoint: Path, target: Path, adapter: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        convert(checkpoint, target, adapter=adapter)
    assert not target.exists()
    return str(caught.value)


def test_what_changes_nothing_or_has_no_place_is_named(adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path) -> None:
    adapter, _ = adapted(BOTH)
    idle = "model.vision_tower.encoder.layers.1.mlp.fc1"
    prefix = "base_model.model."

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{prefix}{idle}.lora_B.weight"].zero_()
        for letter in "AB":
            name = f"{prefix}model.language_model.layers.0.mlp.up_proj.lora_{letter}.weight"
            tensors[name.replace("layers.0", "layers.7")] = tensors.pop(name)
        for name in [name for name in tensors if "linear_1" in name]:
            del tensors[name]

    damaged(adapter, edit)
    message = refusal(tiny_checkpoint, tmp_path / "bundle", adapter)
    assert f"1 identical to the base, where it should have changed them (A or B is all zero): {idle}.weight" in message
    assert "1 with no place in the checkpoint: model.language_model.layers.7.mlp.up_proj.weight" in message
    assert "1 named in target_modules, with no tensor: linear_1" in message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, "sets use_dora"),
        ({"bias": "all"}, "bias 'all'"),
        ({"modules_to_save": ["lm_head"]}, "sets modules_to_save"),
        ({"peft_type": "LOHA"}, "peft_type 'LOHA'"),
        ({"init_lora_weights": "pissa"}, "'pissa' changes the base"),
        ({"lora_alpha": 0}, "lora_alpha is 0"),
        ({"alpha_pattern": {"(": 1}}, "no regular expressions"),
    ],
)
def test_other_kinds_are_refused(
    config: dict[str, Any], words: str, adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    adapter, _ = adapted(LLM)
    data = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(data | config))
    assert words in refusal(tiny_checkpoint, tmp_path / "bundle", adapter)


RENAMED = {
    "as version 4 saved checkpoints": ("model.language_model.", "language_model.model."),
    "as the decoder alone": ("model.language_model.", "model."),
    "wrapped twice": ("model.", "base_model.model.model."),
    "as in a parallel run": ("model.", "module.model."),
    "with a tower that is no more": ("model.vision_tower.", "model.vision_tower.vision_model."),
    "without a wrapper": ("model.", ""),
}


@pytest.mark.parametrize("old_and_new", RENAMED.values(), ids=RENAMED)
def test_names_of_other_versions_find_their_place(
    old_and_new: tuple[str, str], adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The same bytes as with the checkpoint's own names; both towers have a layers.0.self_attn.q_proj."""
    adapter, _ = adapted(BOTH, alpha_pattern={r"layers\.1\..*o_proj": 3})
    convert(tiny_checkpoint, tmp_path / "own", adapter=adapter)
    old, new = (f"base_model.model.{name}" for name in old_and_new)
    tensors = load_file(adapter / "adapter_model.safetensors")
    renamed = {new + name.removeprefix(old) if name.startswith(old) else name: t for name, t in tensors.items()}
    assert renamed.keys() != tensors.keys() and len(renamed) == len(tensors)
    save_file(renamed, adapter / "adapter_model.safetensors")
    report = convert(tiny_checkpoint, tmp_path / "renamed", adapter=adapter)
    for name in ("llm.gguf", "mmproj.gguf", "lora.gguf"):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "renamed" / name).read_bytes(), name
    # The report says which tensors of the checkpoint were changed.
    assert {change.source for change in report.adapter} <= load_file(tiny_checkpoint / "model.safetensors").keys()


def test_names_that_say_another_tower_or_nothing_find_no_place(
    adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    adapter, _ = adapted(LLM)

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for layer, name in ((0, "vision_tower.layers.0"), (1, "transformer.h.1")):
            for letter in "AB":
                end = f"self_attn.q_proj.lora_{letter}.weight"
                own = tensors.pop(f"base_model.model.model.language_model.layers.{layer}.{end}")
                tensors[f"base_model.model.{name}.{end}"] = own

    damaged(adapter, edit)
    message = refusal(tiny_checkpoint, tmp_path / "bundle", adapter)
    assert "2 with no place in the checkpoint: " in message
    assert "vision_tower.layers.0.self_attn.q_proj.weight" in message
    assert "transformer.h.1.self_attn.q_proj.weight" in message


def test_two_pairs_for_one_tensor_are_refused(adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path) -> None:
    adapter, _ = adapted(LLM)

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for letter in "AB":
            end = f"layers.0.self_attn.q_proj.lora_{letter}.weight"
            again = tensors[f"base_model.model.model.language_model.{end}"].clone()
            tensors[f"base_model.model.language_model.model.{end}"] = again

    damaged(adapter, edit)
    message = refusal(tiny_checkpoint, tmp_path / "bundle", adapter)
    place = "(to model.language_model.layers.0.self_attn.q_proj.weight)"
    assert "adapter tensors 2 that add to the same tensor: " in message and message.count(place) == 2


def test_a_name_of_several_places_is_decided_by_shape_or_refused(
    adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"vision_model.layers.0.k.weight": (8, 4), "model.text_model.layers.0.k.weight": (4, 4)}
    wanted = {"layers.0.k.weight": (4, 4), "model.layers.0.k.weight": (2, 2), "vision_tower.layers.0.k.weight": (4, 4)}
    assert find_places(wanted, there) == {
        "layers.0.k.weight": ["model.text_model.layers.0.k.weight"],
        "model.layers.0.k.weight": [],
        # Alone by its name; that it does not fit is told by shape.
        "vision_tower.layers.0.k.weight": ["vision_model.layers.0.k.weight"],
    }
    adapter, _ = adapted(LLM)

    def several(names: dict[str, tuple[int, ...]], there: dict[str, tuple[int, ...]]) -> dict[str, list[str]]:
        alike = dict.fromkeys(("vision_tower.a.weight", "language_model.a.weight"), (4, 4))
        return dict.fromkeys(find_places(names, there), find_places({"a.weight": (4, 4)}, alike)["a.weight"])

    # No layout of ours has two tensors that one name can mean.
    monkeypatch.setattr("magicvl.convert.adapter.find_places", several)
    message = refusal(tiny_checkpoint, tmp_path / "bundle", adapter)
    assert "with more than one place in the checkpoint: " in message
    assert "q_proj.weight (vision_tower.a.weight or language_model.a.weight)" in message


def test_half_a_pair_and_other_tensors(adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path) -> None:
    adapter, _ = adapted(LLM)

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_B.weight"]
        tensors["base_model.model.lora_magnitude"] = torch.ones(3)

    damaged(adapter, edit)
    message = refusal(tiny_checkpoint, tmp_path / "bundle", adapter)
    assert "layers.0.self_attn.q_proj" in message and "lora_magnitude" in message


def test_merge_without_an_adapter_is_wrong_use(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert cli.run(["convert", str(tiny_checkpoint), str(tmp_path / "bundle"), "--merge"]) == 2


def test_an_adapter_of_another_decoder_is_refused_before_native_code(
    adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    adapter, _ = adapted(LLM)
    convert(tiny_checkpoint, tmp_path / "bundle", adapter=adapter)
    path = tmp_path / "bundle" / "lora.gguf"
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_q", b"blk.9.attn_q"))
    with pytest.raises(BundleError, match="sha256"):
        Engine(tmp_path / "bundle")
    lock = json.loads((tmp_path / "bundle" / "magicvl.json").read_text())
    lock["files"]["lora"]["sha256"] = sha256(path)
    (tmp_path / "bundle" / "magicvl.json").write_text(json.dumps(lock))
    assert "blk.9.attn_q.weight.lora_a" in read_gguf(path).tensors
    with pytest.raises(BundleError, match=r"no adapter of llm\.gguf: tensor 'blk\.9\.attn_q\.weight' lacks its base"):
        Engine(tmp_path / "bundle")


def test_restore_does_not_lose_an_adapter(adapted: Adapted, tiny_checkpoint: Path, tmp_path: Path) -> None:
    adapter, _ = adapted(LLM)
    convert(tiny_checkpoint, tmp_path / "bundle", adapter=adapter)
    with pytest.raises(BundleError, match=r"lora\.gguf would be lost"):
        restore(tmp_path / "bundle", tmp_path / "back")
    assert not (tmp_path / "back").exists()
