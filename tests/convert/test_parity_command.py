"""`magicvl parity`: a true bundle passes, and each planted fault is found at its own stage."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicvl import cli
from magicvl.convert.bundle import convert
from magicvl.convert.parity import Parity, parity
from magicvl.convert.parity_picture import examples
from magicvl.edge import pixels
from magicvl.edge.bundle import read_bundle, sha256
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.plan import Grid, Plan, plan

FEW = ("one token", "edge tiles on both axes", "a column")


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own to damage: mmproj in F32, decoder in F16."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def few(checkpoint: Path, bundle: Path) -> Parity:
    made = [example for example in examples(read_bundle(bundle).lock.grid) if example.name in FEW]
    return parity(checkpoint, bundle, threads=1, pictures=made)


def relock(bundle: Path) -> None:
    """Makes the lock agree with the files again: a fault in them is then nobody's accident."""
    path = bundle / "magicvl.json"
    lock = json.loads(path.read_text())
    for entry in lock["files"].values():
        entry |= {"size": (bundle / entry["path"]).stat().st_size, "sha256": sha256(bundle / entry["path"])}
    path.write_text(json.dumps(lock))


def plant(path: Path, edit: Callable[[dict[str, np.ndarray]], None], kind: type) -> None:
    """Changes matrices of a file in place."""
    tensors = read_gguf(path).tensors
    arrays = {
        name: np.memmap(path, mode="r+", dtype=kind, offset=tensor.offset, shape=tensor.shape[::-1])
        for name, tensor in tensors.items()
        if tensor.size == int(np.prod(tensor.shape)) * np.dtype(kind).itemsize
    }
    edit(arrays)
    for array in arrays.values():
        array.flush()
    relock(path.parent)


def test_small_pictures_that_are_enlarged_are_compared(
    build_tiny: Callable[..., object], save_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint, made = save_tiny(build_tiny(min_tokens=20), tmp_path / "it", min_tokens=20), tmp_path / "made"
    convert(checkpoint, made, llm_type="F16", mmproj_type="F32")
    assert few(checkpoint, made).passed
    lock = json.loads((made / "magicvl.json").read_text())
    lock["picture"]["min_tokens"] = 19
    (made / "magicvl.json").write_text(json.dumps(lock))
    # One token becomes 5 x 5 either way; a column of 13 becomes one of 20 or of 19.
    found = few(checkpoint, made)
    assert (found.passed, found.failed_at) == (False, "plan")


def test_a_true_bundle_passes_and_the_lock_says_so(
    tiny_checkpoint: Path, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["parity", str(tiny_checkpoint), str(bundle), "--threads", "1", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["passed"] and found["failed_at"] is None and not found["notes"]
    assert [stage["name"] for stage in found["stages"]] == [
        "token ids",
        "plan",
        "pixels",
        "patches and positions",
        "encoder block 0",
        "encoder block 1",
        "visual embeddings",
        "logits",
        "greedy answers",
    ]
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert all(stage["compared"] > 0 for stage in stages.values())
    # Numbers of the runtime and of torch are never the same to the last bit.
    assert 0.9999 < stages["encoder block 1"]["worst"] < stages["encoder block 1"]["mean"] <= 1
    assert len(found["pictures"]) == 6
    lock = read_bundle(bundle)
    lock.verify()
    assert lock.lock.parity == found
    assert not list(bundle.glob(".*"))


def transposed(arrays: dict[str, np.ndarray]) -> None:
    arrays["v.blk.1.attn_out.weight"][:] = arrays["v.blk.1.attn_out.weight"].T.copy()


def swapped(arrays: dict[str, np.ndarray]) -> None:
    for part in ("weight", "bias"):
        query, key = arrays[f"v.blk.0.attn_q.{part}"], arrays[f"v.blk.0.attn_k.{part}"]
        query[:], key[:] = key.copy(), query.copy()


def turned_projector(arrays: dict[str, np.ndarray]) -> None:
    arrays["mm.2.weight"][:] = arrays["mm.2.weight"].T.copy()


def shifted_positions(arrays: dict[str, np.ndarray]) -> None:
    arrays["v.position_embd.weight"][:] = np.roll(arrays["v.position_embd.weight"], 1, axis=0)


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        (shifted_positions, "patches and positions"),
        (swapped, "encoder block 0"),
        (transposed, "encoder block 1"),
        (turned_projector, "visual embeddings"),
    ],
)
def test_a_fault_in_the_encoder(
    fault: Callable[[dict[str, np.ndarray]], None], stage: str, tiny_checkpoint: Path, bundle: Path
) -> None:
    plant(bundle / "mmproj.gguf", fault, np.float32)
    found = few(tiny_checkpoint, bundle)
    assert found.failed_at == stage
    stages = {each.name: each for each in found.stages}
    # Not the decoder's fault: it is asked on torch's embeddings.
    assert stages["logits"].passed
    assert read_bundle(bundle).lock.parity["failed_at"] == stage


def test_a_fault_in_the_decoder(tiny_checkpoint: Path, bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fault(arrays: dict[str, np.ndarray]) -> None:
        arrays["blk.0.attn_output.weight"][:] = arrays["blk.0.attn_output.weight"].T.copy()

    plant(bundle / "llm.gguf", fault, np.float16)
    assert cli.run(["parity", str(tiny_checkpoint), str(bundle), "--threads", "1"]) == 1
    out = capfd.readouterr().out
    assert "failed at: logits (llm F16, mmproj F32)" in out
    assert "visual embeddings      ok" in out


@pytest.mark.parametrize("key", ["image_mean", "image_std"])
def test_a_wrong_mean_or_std(key: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_checkpoint, tmp_path / "other"))
    settings = json.loads((other / "processor_config.json").read_text())
    (other / "processor_config.json").write_text(json.dumps(settings | {key: [0.5, 0.5, 0.48]}))
    # Lock and mmproj agree with each other: nothing but the checkpoint can tell.
    convert(other, tmp_path / "bundle", mmproj_type="F32")
    assert few(tiny_checkpoint, tmp_path / "bundle").failed_at == "pixels"


@pytest.mark.parametrize("wrong", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
def test_another_filter(
    wrong: Image.Resampling, tiny_checkpoint: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resize(picture: Image.Image, planned: Plan) -> Image.Image:
        return picture.resize(planned.resized, wrong)

    monkeypatch.setattr(pixels, "resize", resize)
    assert few(tiny_checkpoint, bundle).failed_at == "pixels"


def test_another_plan(tiny_checkpoint: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(width: int, height: int, grid: Grid, budget: int | None = None) -> Plan:
        made = plan(max(32, width // 32 * 32), max(32, height // 32 * 32), grid, budget)
        return replace(made, width=width, height=height)

    # The shared code itself is wrong, for the runtime and for training alike.
    monkeypatch.setattr("magicvl.edge.request.plan", down)
    monkeypatch.setattr("magicvl.mmproj.processing.plan", down)
    assert few(tiny_checkpoint, bundle).failed_at == "plan"


def test_a_changed_token(tiny_checkpoint: Path, bundle: Path) -> None:
    path = bundle / "llm.gguf"
    tokens = read_gguf(path).texts("tokenizer.ggml.tokens")
    index = next(i for i, token in enumerate(tokens) if i > 300 and len(token) > 3 and token.isascii())
    old = tokens[index].encode()
    new = old[:-1] + b"~"
    assert new.decode() not in tokens
    length = len(old).to_bytes(8, "little")
    data = path.read_bytes()
    assert data.count(length + old) == 1
    path.write_bytes(data.replace(length + old, length + new))
    relock(bundle)
    found = few(tiny_checkpoint, bundle)
    assert found.failed_at == "token ids"
    assert f"token {index} is" in found.stages[0].where


def test_a_quantised_bundle_is_judged_by_its_types(tiny_checkpoint: Path, tmp_path: Path) -> None:
    convert(tiny_checkpoint, tmp_path / "bundle", llm_type="Q8_0", mmproj_type="Q8_0")
    found = few(tiny_checkpoint, tmp_path / "bundle")
    assert found.passed, found.to_text()
    assert found.types == {"llm": "Q8_0", "mmproj": "Q8_0"}
    assert {stage.limit for stage in found.stages if stage.measure == "cosine of a token"} == {0.99}


def test_answers_that_torch_itself_wavers_about_are_no_verdict(
    tiny_checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Types so coarse that no token of the small model leads by what they may cost."""
    bundle = tmp_path / "bundle"
    convert(tiny_checkpoint, bundle, llm_type="Q4_K_M", mmproj_type="Q8_0")
    assert cli.run(["parity", str(tiny_checkpoint), str(bundle), "--threads", "1", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    answers = found["stages"][-1]
    assert found["passed"] and found["failed_at"] is None
    assert (answers["name"], answers["passed"], answers["compared"]) == ("greedy answers", None, 0)
    assert all(stage["passed"] is True for stage in found["stages"][:-1])
    assert found["notes"][-1].startswith("greedy answers: nothing compared, torch's first tokens lead by ")
    assert read_bundle(bundle).lock.parity == found
    assert cli.run(["parity", str(tiny_checkpoint), str(bundle), "--threads", "1"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "greedy answers         nothing compared  0" in next(line for line in lines if line.startswith("greedy"))
    assert lines[-1] == "passed, but for greedy answers: nothing compared (llm Q4_K_M, mmproj Q8_0)"
