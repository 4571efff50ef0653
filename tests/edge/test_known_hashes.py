"""Hashes that are known: a file that is unchanged is not read again, and every change is seen."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from magicvl.edge import known_hashes
from magicvl.edge.bundle import sha256
from magicvl.edge.known_hashes import known_sha256


@pytest.fixture(autouse=True)
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Which files were read; every file counts as large, and as settled."""
    read: list[Path] = []

    def count(path: Path) -> str:
        read.append(path)
        return sha256(path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(known_hashes, "SMALL", 0)
    monkeypatch.setattr(known_hashes, "SETTLED_NS", -1)
    monkeypatch.setattr(known_hashes, "sha256", count)
    yield read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "llm.gguf"
    path.write_bytes(b"weights")
    return path


def records(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "magicvl" / "hashes").glob("*"))


def test_an_unchanged_file_is_read_once(file: Path, reads: list[Path]) -> None:
    assert known_sha256(file) == known_sha256(file) == sha256(file)
    assert reads == [file]


def test_every_change_is_seen(file: Path, reads: list[Path], tmp_path: Path) -> None:
    known_sha256(file)
    times = file.stat()
    file.write_bytes(b"WEIGHTS")
    # The size is the same and the time of writing is set back: the time of the change gives it away.
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert known_sha256(file) == sha256(file)
    other = tmp_path / "other"
    other.write_bytes(b"another")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(file)
    assert known_sha256(file) == sha256(file)
    assert len(reads) == 3


def test_a_file_just_written_or_small_is_not_remembered(
    file: Path, reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(known_hashes, "SETTLED_NS", 10**12)
        known_sha256(file)
    with monkeypatch.context() as patch:
        patch.setattr(known_hashes, "SMALL", 7)
        known_sha256(file)
    assert records(tmp_path) == [] and len(reads) == 2


def test_a_file_written_while_it_is_read_is_not_remembered(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> str:
        found = sha256(path)
        path.write_bytes(b"changed")
        return found

    monkeypatch.setattr(known_hashes, "sha256", slow)
    known_sha256(file)
    assert records(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"[" * 3000, b"null", b'{"marks": 1}', b"x" * 5000])
def test_a_damaged_record_is_none(file: Path, reads: list[Path], tmp_path: Path, damage: bytes) -> None:
    known_sha256(file)
    [record] = records(tmp_path)
    record.write_bytes(damage)
    assert known_sha256(file) == sha256(file)
    assert known_sha256(file) == sha256(file)
    assert len(reads) == 2 and json.loads(record.read_bytes())["sha256"] == sha256(file)


def test_a_folder_that_cannot_be_written_is_done_without(file: Path, reads: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert known_sha256(file) == known_sha256(file) == sha256(file)
    assert len(reads) == 2


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        known_sha256(tmp_path / "nowhere")
