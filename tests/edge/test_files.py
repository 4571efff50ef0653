"""A file is there whole or not at all, and the user's folders are where the system says."""

import os
import resource
from pathlib import Path

import pytest

from magicvl.edge.files import append_whole, user_folder, whole_file


def test_a_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with whole_file(path, mode=0o600) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
        assert partial.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "missing" / "file"):
        pass


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder("XDG_CACHE_HOME", ".cache") == tmp_path / "magicvl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_folder("XDG_CACHE_HOME", ".cache") == tmp_path / "home" / ".cache" / "magicvl"


def test_what_does_not_fit_whole_is_not_there_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"one\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        with pytest.raises(OSError, match="File too large"):
            append_whole(file, b"two, and more than there is room for\n")
        append_whole(file, b"two\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        os.close(file)
    assert path.read_bytes() == b"one\ntwo\n"
