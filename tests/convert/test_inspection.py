"""`magicvl inspect` on a file, on a bundle, and on what is neither."""

import json
from pathlib import Path

import pytest

from magicvl import cli
from magicvl.convert.inspection import inspect, to_text


def test_a_bundle(tiny_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", str(tiny_bundle), "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["lock"]["vision"]["width"] == 64
    llm, mmproj = data["files"]
    assert llm["types"] == {"F16": 15, "F32": 5}
    assert llm["metadata"]["tokenizer.ggml.tokens"]["length"] == 384
    assert "<|assistant|>" in llm["chat_template"]
    assert mmproj["metadata"]["clip.projector_type"] == "lfm2"
    assert mmproj["parameters"] == sum(tensor["size"] for tensor in mmproj["tensors"]) / 4
    assert mmproj["size"] == (tiny_bundle / "mmproj.gguf").stat().st_size


def test_a_file(tiny_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", str(tiny_bundle / "mmproj.gguf")]) == 0
    out = capfd.readouterr().out
    assert "clip.vision.embedding_length = 64" in out
    assert "v.patch_embd.weight" in out
    assert "16 x 16 x 3 x 64" in out


def test_text_of_a_file_cannot_drive_the_terminal(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "llm.gguf"
    data = (tiny_bundle / "llm.gguf").read_bytes()
    path.write_bytes(data.replace(b"blk.0.ffn_norm", b"blk.0.\x1b[2Jnorm").replace(b"{% for m", b"\x1b[2Jor m"))
    text = to_text(inspect(path))
    assert "\\x1b[2J" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("content", [b"", b"GGUF", b"a text file"])
def test_what_is_no_gguf(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    assert cli.run(["inspect", str(tmp_path / "x.gguf")]) == 1
    assert capfd.readouterr().err.count("\n") == 1
    assert cli.run(["inspect", str(tmp_path)]) == 1
    assert "no bundle" in capfd.readouterr().err
