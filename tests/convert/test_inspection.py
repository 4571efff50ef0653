"""`magicvl inspect` on a file, on a bundle, and on what is neither."""

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from magicvl import cli
from magicvl.convert.doubts import FILE_TYPES
from magicvl.convert.inspection import inspect, to_json, to_text


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


def lock(bundle: Path, edit: Callable[[dict[str, object]], None]) -> None:
    data = json.loads((bundle / "magicvl.json").read_text())
    edit(data)
    (bundle / "magicvl.json").write_text(json.dumps(data))


def test_a_good_bundle_has_no_warning_but_that_nobody_compared_it(tiny_bundle: Path, tmp_path: Path) -> None:
    found = inspect(tiny_bundle, verify=True)
    assert [file.warnings for file in found.files] == [[], []]
    assert found.warnings == [
        "it was never compared with its checkpoint: magicvl parity CHECKPOINT BUNDLE does that",
    ]
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    lock(bundle, lambda data: data.update(parity={"passed": True}))
    assert inspect(bundle).warnings == []
    lock(bundle, lambda data: data.update(parity={"passed": False, "failed_at": "pixels"}))
    assert inspect(bundle).warnings == ["magicvl parity found a fault at: pixels"]


def test_a_bundle_whose_files_are_not_the_locks(
    tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    with (bundle / "llm.gguf").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with (bundle / "mmproj.gguf").open("ab") as file:
        file.write(bytes(100_000))
    lock(bundle, lambda data: data["vision"].update(width=72))  # type: ignore[attr-defined]
    found = to_json(inspect(bundle, verify=True))
    text = "; ".join(found["warnings"])
    assert "mmproj.gguf has" in text and "the lock says" in text
    assert "clip.vision.embedding_length is 64, the lock says 72" in text
    assert "llm.gguf: its sha256 is not the lock's" in text
    assert "100,000 bytes after the last tensor belong to nothing" in found["files"][1]["warnings"]
    assert cli.run(["inspect", str(bundle)]) == 0
    assert capfd.readouterr().out.count("warning: ") == 4
    assert cli.run(["inspect", str(bundle / "llm.gguf"), "--verify"]) == 2


def test_odd_files(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "llama")
    writer.add_block_count(30)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((3, 64), np.float16))
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    warnings = inspect(tmp_path / "odd.gguf").files[0].warnings
    assert warnings == [
        "general.file_type says MOSTLY_Q4_K_M, most numbers are F16",
        "llama.block_count is 30, the file has tensors of 1 blocks",
        "no chat template (tokenizer.chat_template): the decoder cannot be asked as it was trained",
        "no tokenizer.ggml.eos_token_id: nothing ends an answer",
        "2 tokens, and an embedding table of 3 rows",
    ]
    data = (tmp_path / "odd.gguf").read_bytes()
    at = data.index(b"general.file_type") + len(b"general.file_type") + 4
    (tmp_path / "odd.gguf").write_bytes(data[:at] + struct.pack("<I", 999) + data[at + 4 :])
    assert "general.file_type is 999, which llama.cpp does not know" in inspect(tmp_path / "odd.gguf").files[0].warnings


def test_file_types_are_those_of_the_gguf_package() -> None:
    assert dict(FILE_TYPES) == {kind.value: kind.name for kind in gguf.LlamaFileType}


def test_a_long_vocabulary_costs_milliseconds(tmp_path: Path) -> None:
    """152,000 tokens and 151,000 merges, as Qwen's: what they spell is decoded for nobody but who asks."""
    path = tmp_path / "words.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"Ġtoken{i}" for i in range(152_000)])
    writer.add_token_merges([f"a{i} é{i}" for i in range(151_000)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    took = []
    for _ in range(5):
        started = time.process_time()
        found = to_json(inspect(path))
        took.append(time.process_time() - started)
    # 0.04 s where it was written, on a busy core too; 0.2 s and more where each string is decoded.
    assert min(took) < 0.15
    keys = found["files"][0]["metadata"]
    assert keys["tokenizer.ggml.tokens"] == {"length": 152_000, "first": [f"Ġtoken{i}" for i in range(8)]}
    assert keys["tokenizer.ggml.merges"] == {"length": 151_000, "first": [f"a{i} é{i}" for i in range(8)]}


def test_four_gigabytes_are_described_without_reading_them(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(128)
    writer.add_token_list([f"token {i}" for i in range(50_000)])
    for i in range(128):
        # 32 MiB each, in BF16.
        shape, kind = (4096, 4096), gguf.GGMLQuantizationType.BF16
        writer.add_tensor_info(f"blk.{i}.ffn_up.weight", shape, np.dtype(np.float16), 2**25, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header = -(-path.stat().st_size // 32) * 32
    with path.open("r+b") as file:
        file.truncate(header + 2**32)
    before, started = bytes_read(), time.process_time()
    found = inspect(path)
    # A fiftieth of that where it was written; a hundred times as long if it read the tensors.
    assert time.process_time() - started < 1
    assert bytes_read() - before < header + 2**21
    assert found.files[0].parameters == 2**31
    assert found.files[0].size > 2**32
    assert path.stat().st_blocks * 512 < 2**24, "the file is not sparse: this test shows little"


def bytes_read() -> int:
    """What this process has read from files so far, from caches too."""
    status = Path("/proc/self/io")
    if not status.exists():
        pytest.skip("this system does not count the bytes that a process reads")
    return int(next(line for line in status.read_text().splitlines() if line.startswith("rchar")).split()[1])
