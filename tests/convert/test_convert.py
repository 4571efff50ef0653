"""Conversion: what the files hold, that nothing is lost or half written, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from magicvl import cli
from magicvl.convert.bundle import convert
from magicvl.convert.progress import Quiet
from magicvl.edge.bundle import read_bundle
from magicvl.errors import CheckpointError, UsageError
from magicvl.mmproj.contract import MMPROJ_KEYS
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration

Build = Callable[..., MagicVLForConditionalGeneration]
Save = Callable[..., Path]


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint of one's own to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def edit(path: Path, **changes: Any) -> None:
    """Changes keys of a JSON file; None takes one out."""
    data = json.loads(path.read_text())
    data |= changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and tensors, by the reader of the gguf package."""
    reader = gguf.GGUFReader(path)
    return {key: field.contents() for key, field in reader.fields.items()}, {t.name: t for t in reader.tensors}


def files(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(bundle.iterdir())}


def test_the_decoder_in_the_file(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    keys, tensors = read(tiny_bundle / "llm.gguf")
    source = load_file(tiny_checkpoint / "model.safetensors")
    assert keys["general.architecture"] == "llama"
    assert keys["general.file_type"] == gguf.LlamaFileType.MOSTLY_F16
    assert keys["llama.embedding_length"] == 128
    assert keys["llama.block_count"] == 2
    assert keys["llama.attention.head_count"] == 4
    assert keys["llama.attention.head_count_kv"] == 2
    assert keys["llama.attention.key_length"] == keys["llama.rope.dimension_count"] == 32
    assert keys["llama.rope.freq_base"] == 20000.0
    assert keys["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    assert keys["llama.vocab_size"] == len(keys["tokenizer.ggml.tokens"]) == 384
    assert keys["tokenizer.ggml.pre"] == "smollm"
    assert keys["tokenizer.ggml.tokens"][keys["tokenizer.ggml.eos_token_id"]] == "<|end|>"
    assert keys["tokenizer.ggml.token_type"][:9] == [gguf.TokenType.CONTROL] * 8 + [gguf.TokenType.NORMAL]
    assert keys["tokenizer.ggml.add_bos_token"] is False
    assert keys["tokenizer.chat_template"] == (tiny_checkpoint / "chat_template.jinja").read_text()
    assert "output.weight" not in tensors
    for name, tensor in tensors.items():
        wanted = "F32" if len(tensor.shape) == 1 else "F16"
        assert tensor.tensor_type.name == wanted, name
    down = source["model.language_model.layers.1.mlp.down_proj.weight"].half().numpy()
    assert tensors["blk.1.ffn_down.weight"].data.tobytes() == down.tobytes()
    # Row 1 of a query head in GGUF is the row half a head further on in the checkpoint.
    query = source["model.language_model.layers.0.self_attn.q_proj.weight"].half().numpy()
    assert tensors["blk.0.attn_q.weight"].data[:3].tobytes() == query[[0, 16, 1]].tobytes()


def test_the_encoder_in_the_file(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    keys, tensors = read(tiny_bundle / "mmproj.gguf")
    source = load_file(tiny_checkpoint / "model.safetensors")
    kinds = {rule.key: rule.kind for rule in MMPROJ_KEYS if "lfm2" in rule.projectors}
    assert set(kinds) <= set(keys)
    assert keys["general.architecture"] == "clip"
    assert keys["clip.projector_type"] == "lfm2"
    assert keys["clip.use_gelu"] is True
    assert keys["clip.vision.image_size"] == 384
    assert keys["clip.vision.projection_dim"] == 128
    assert keys["clip.vision.projector.scale_factor"] == 2
    assert keys["clip.vision.image_mean"] == keys["clip.vision.image_std"] == [0.5, 0.5, 0.5]
    flat = source["model.vision_tower.embeddings.patch_embedding.weight"].numpy()
    kernel = tensors["v.patch_embd.weight"]
    assert list(kernel.shape) == [16, 16, 3, 64]
    assert np.array_equal(kernel.data.reshape(64, 3, 16, 16)[:, 2, 5, 7], flat[:, (5 * 16 + 7) * 3 + 2])
    table = source["model.vision_tower.embeddings.position_embedding.weight"].numpy()
    assert tensors["v.position_embd.weight"].data.tobytes() == table.tobytes()
    assert {tensor.tensor_type.name for tensor in tensors.values()} == {"F32"}


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_encoder_types(kind: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    convert(tiny_checkpoint, tmp_path / "bundle", mmproj_type=kind)
    keys, tensors = read(tmp_path / "bundle" / "mmproj.gguf")
    assert keys["general.file_type"] == gguf.LlamaFileType[f"MOSTLY_{kind}"]
    assert tensors["v.blk.0.attn_q.weight"].tensor_type.name == kind
    assert tensors["v.patch_embd.weight"].tensor_type.name == "F16"
    assert tensors["v.position_embd.weight"].tensor_type.name == "F32"
    assert tensors["v.blk.0.attn_q.bias"].tensor_type.name == "F32"


def test_decoder_types_and_rows_that_do_not_fit(
    build_tiny: Build, save_tiny: Save, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    report = convert(tiny_checkpoint, tmp_path / "q8", llm_type="Q8_0")
    _, tensors = read(tmp_path / "q8" / "llm.gguf")
    assert {t.tensor_type.name for t in tensors.values() if len(t.shape) > 1} == {"Q8_0"}
    assert report.fallbacks == {"llm": [], "mmproj": []}
    wide = save_tiny(build_tiny(text={"hidden_size": 256, "intermediate_size": 256}), tmp_path / "wide")
    report = convert(wide, tmp_path / "q4", llm_type="Q4_K_M", mmproj_type="Q8_0")
    _, tensors = read(tmp_path / "q4" / "llm.gguf")
    # Heads of 4 x 32 make rows of 128 in o_proj, and no block of 256.
    assert report.fallbacks["llm"] == [f"blk.{layer}.attn_output.weight (Q5_0)" for layer in range(2)]
    assert tensors["blk.0.ffn_gate.weight"].tensor_type.name == "Q4_K"
    assert read_bundle(tmp_path / "q4").lock.provenance["fallbacks"] == report.fallbacks
    odd = save_tiny(build_tiny(vision_width=72), tmp_path / "odd")
    report = convert(odd, tmp_path / "odd-q8", mmproj_type="Q8_0")
    _, tensors = read(tmp_path / "odd-q8" / "mmproj.gguf")
    assert "v.blk.0.attn_q.weight (F16)" in report.fallbacks["mmproj"]
    assert "v.blk.0.ffn_down.weight (F16)" not in report.fallbacks["mmproj"]
    for entry in report.fallbacks["mmproj"]:
        name, kind = entry.removesuffix(")").split(" (")
        assert tensors[name].tensor_type.name == kind, name


def test_the_same_input_gives_the_same_bytes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        convert(tiny_checkpoint, tmp_path / name, llm_type="Q8_0", mmproj_type="Q8_0")
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_the_lock_is_true(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)
    bundle.verify()
    lock = bundle.lock
    assert (lock.vision.width, lock.vision.layers, lock.vision.positions, lock.vision.unshuffle) == (
        64,
        2,
        24,
        2,
    )
    assert (lock.language.architecture, lock.language.width, lock.language.context) == ("llama", 128, 8192)
    assert (lock.picture.tile, lock.picture.max_tiles) == (384, 24)
    assert lock.provenance["llm_type"] == "F16"
    assert lock.provenance["mmproj_type"] == "F32"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_checkpoints_convert_to_the_same_numbers(
    dtype: torch.dtype, build_tiny: Build, save_tiny: Save, tmp_path: Path
) -> None:
    model = build_tiny().to(dtype)
    wide = save_tiny(build_tiny(), tmp_path / "model")
    model.float().save_pretrained(wide)
    expected = tmp_path / "expected"
    convert(wide, expected, llm_type="Q8_0", mmproj_type="F32")
    shutil.rmtree(wide)
    convert(save_tiny(model.to(dtype), wide), tmp_path / "narrow", llm_type="Q8_0", mmproj_type="F32")
    assert files(tmp_path / "narrow") == files(expected)


def test_shards_convert_to_the_same_bytes(
    build_tiny: Build, save_tiny: Save, tmp_path: Path, tiny_bundle: Path
) -> None:
    checkpoint = save_tiny(build_tiny(), tmp_path / "checkpoint")
    (checkpoint / "model.safetensors").unlink()
    build_tiny().save_pretrained(checkpoint, max_shard_size="300KB")
    assert len(list(checkpoint.glob("model-*.safetensors"))) > 2
    convert(checkpoint, tmp_path / "bundle", mmproj_type="F32")
    for name in ("llm.gguf", "mmproj.gguf"):
        assert (tmp_path / "bundle" / name).read_bytes() == (tiny_bundle / name).read_bytes()


def test_an_untied_head_with_biases(build_tiny: Build, save_tiny: Save, tmp_path: Path) -> None:
    text = {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}
    convert(save_tiny(build_tiny(text=text), tmp_path / "checkpoint"), tmp_path / "bundle")
    _, tensors = read(tmp_path / "bundle" / "llm.gguf")
    assert {"output.weight", "blk.1.attn_q.bias", "blk.1.attn_output.bias", "blk.1.ffn_down.bias"} <= set(tensors)


def test_a_tied_head_is_left_out_by_name(copy: Path, tmp_path: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"].clone()
    save_file(tensors, copy / "model.safetensors")
    assert convert(copy, tmp_path / "bundle").left_out == ["lm_head.weight"]


def test_every_wrong_tensor_is_named_at_once(copy: Path, tmp_path: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.vision_tower.post_layernorm.bias"]
    del tensors["model.language_model.layers.1.mlp.up_proj.weight"]
    tensors["model.language_model.layers.2.mlp.up_proj.weight"] = torch.zeros(2, 2)
    tensors["model.multi_modal_projector.linear_1.weight"] = torch.zeros(128, 255)
    tensors["model.language_model.norm.weight"] = torch.zeros(128, dtype=torch.int32)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        convert(copy, tmp_path / "bundle")
    message = str(caught.value)
    assert "2 missing: model.vision_tower.post_layernorm.bias, " in message
    assert "model.language_model.layers.1.mlp.up_proj.weight" in message
    assert "1 extra: model.language_model.layers.2.mlp.up_proj.weight" in message
    assert "1 misshapen: model.multi_modal_projector.linear_1.weight 128 x 255 instead of 128 x 256" in message
    assert "model.language_model.norm.weight (I32)" in message
    assert not (tmp_path / "bundle").exists()


def test_a_lacking_tensor_is_one_line_and_exit_code_1(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.language_model.norm.weight"]
    save_file(tensors, copy / "model.safetensors")
    assert cli.run(["convert", str(copy), str(tmp_path / "bundle")]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "1 missing: model.language_model.norm.weight" in err


def test_the_command_line(tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "bundle"
    assert cli.run(["convert", str(tiny_checkpoint), str(target), "--llm-type", "Q8_0", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["llm_type"] == "Q8_0"
    assert report["bytes"]["llm.gguf"] == (target / "llm.gguf").stat().st_size
    assert report["parameters"]["llm"] == read_parameters(tiny_checkpoint, "model.language_model.")
    assert cli.run(["convert", str(tiny_checkpoint), str(target)]) == 2
    assert "--force replaces it" in capfd.readouterr().err
    assert cli.run(["convert", str(tiny_checkpoint), str(target), "--force", "--mmproj-type", "F32"]) == 0
    assert "mmproj.gguf  F32" in capfd.readouterr().out
    assert cli.run(["convert", str(tiny_checkpoint), str(tmp_path / "b"), "--llm-type", "Q9"]) == 2
    assert "there are F32, F16, BF16, Q8_0" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def read_parameters(checkpoint: Path, prefix: str) -> int:
    tensors = load_file(checkpoint / "model.safetensors")
    return sum(tensor.numel() for name, tensor in tensors.items() if name.startswith(prefix))


def test_force_replaces_bundles_and_nothing_else(tiny_checkpoint: Path, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "keep.txt").write_text("mine")
    with pytest.raises(UsageError, match="replaces only"):
        convert(tiny_checkpoint, treasure, force=True)
    assert (treasure / "keep.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="make it first"):
        convert(tiny_checkpoint, tmp_path / "no" / "such")


class Stop(Quiet):
    """Stops a conversion as Ctrl-C does, after so many tensors."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, size: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 10, 30])
def test_an_interrupted_conversion_leaves_nothing(
    after: int, tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(tiny_checkpoint, tmp_path / "bundle", llm_type="Q8_0", steps=Stop(after))
    assert list(tmp_path.iterdir()) == []
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with pytest.raises(KeyboardInterrupt):
        convert(tiny_checkpoint, tmp_path / "bundle", llm_type="Q8_0", force=True, steps=Stop(after))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert files(tmp_path / "bundle") == files(tiny_bundle)


def test_ctrl_c_stops_the_real_command(tiny_checkpoint: Path, tmp_path: Path) -> None:
    # Quantising is made to last: the child process waits, as a large model would make it.
    script = (
        "import sys; from magicvl import cli; from magicvl.convert import quantise;"
        "quantise._CHILD = 'import time; time.sleep(60)'; cli.main(sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "convert", tiny_checkpoint, tmp_path / "bundle", "--llm-type", "Q8_0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".bundle.*/llm-wide.gguf")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("magicvl.convert.vision.write_gguf", full)
    with pytest.raises(CheckpointError, match=r"cannot be written .*No space left"):
        convert(tiny_checkpoint, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_the_type_cannot_hold(copy: Path, tmp_path: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    tensors[name][0, 0] = 1e6
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"values up to 1e\+06, F16 holds 65504"):
        convert(copy, tmp_path / "bundle")
    convert(copy, tmp_path / "wide", llm_type="Q8_0")
    tensors[name][0, 0] = float("nan")
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 with NaN: .*up_proj\.weight$"):
        convert(copy, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"model_type": "mllama"}, "model_type 'mllama'"),
        ("config.json", {"projector_hidden_act": "gelu"}, "projector_hidden_act is 'gelu'"),
        ("config.json", {"tile_size": 512}, "tile_size is 512 in config.json and 384 in processor_config"),
        ("config.json", {"text_config": {"model_type": "mamba"}}, "model_type is 'mamba'"),
        ("config.json", {"vision_config": {"num_patches": 500}}, "num_patches is 500, a square number"),
        ("config.json", {"image_token_id": 3}, "image_token '<|image|>' of processor_config.json is token 7"),
        ("processor_config.json", {"image_std": [0.5, 0.5, 0]}, "no picture can be normalised"),
        ("processor_config.json", {"image_mean": [0.5]}, "three numbers are due"),
        ("processor_config.json", {"picture_pieces": {"left": "x"}}, "picture_pieces must be"),
        ("processor_config.json", {"min_tokens": 9000}, "pictures of at least 9000 visual tokens"),
        ("config.json", {"min_tokens": 9}, "min_tokens is another in config.json than in processor_config.json"),
        ("config.json", {"film_tracks": "yes"}, "film_tracks is 'yes'; true or false is due"),
        ("generation_config.json", {"eos_token_id": 300}, "an ordinary token"),
        ("generation_config.json", {"eos_token_id": 4000}, "not in the vocabulary"),
    ],
)
def test_configurations_that_cannot_be_meant(
    file: str, changes: dict[str, Any], message: str, copy: Path, tmp_path: Path
) -> None:
    edit(copy / file, **changes)
    with pytest.raises(CheckpointError) as caught:
        convert(copy, tmp_path / "bundle")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_without_one_of_its_files(name: str, copy: Path, tmp_path: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        convert(copy, tmp_path / "bundle")


@pytest.mark.parametrize("size", [0, 7, 100, 20_000])
def test_a_safetensors_file_cut_short(size: int, copy: Path, tmp_path: Path) -> None:
    with (copy / "model.safetensors").open("r+b") as file:
        file.truncate(size)
    with pytest.raises(CheckpointError, match="cut short"):
        convert(copy, tmp_path / "bundle")


def test_more_stops_reach_the_file(copy: Path, tmp_path: Path) -> None:
    edit(copy / "generation_config.json", eos_token_id=[2, 1])
    convert(copy, tmp_path / "bundle")
    keys, _ = read(tmp_path / "bundle" / "llm.gguf")
    assert keys["tokenizer.ggml.eos_token_id"] == 2
    assert keys["tokenizer.ggml.eot_token_id"] == 1
