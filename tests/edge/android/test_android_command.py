"""`magicvl android build` from its command line: choices, what is missing, and what is said."""

import os
from pathlib import Path

import pytest

from magicvl import android_command
from magicvl.android_command import BuildCall, build_archive
from magicvl.cli import run
from magicvl.edge.android.build import Job
from magicvl.edge.android.source import Source
from magicvl.edge.variant import RECORD, Variant, find_server, native_folder


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's is read or written, and the current folder is empty."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("ANDROID_NDK_HOME", "MAGICVL_SERVER", "CXX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def program(folder: Path, *names: str) -> None:
    """Stand-in programs in a folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variant", "sve"], "--variant sve: one of armv8, dotprod, i8mm, lib, host"),
        (["--variant", "lib"], "--variant lib needs an Android NDK: set ANDROID_NDK_HOME to its folder"),
        (["--variant", "host", "-o", "a.tar.xz"], "-o a.tar.xz has no effect"),
        (["--jobs", "0"], "--jobs 0: at least 1"),
        (["-o", "no/where.tar.xz"], "is no folder: make it first"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["android", "build", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_archive_is_not_replaced_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("magicvl-android-arm64-0.1.0.tar.xz").touch()
    assert run(["android", "build"]) == 2
    assert "magicvl-android-arm64-0.1.0.tar.xz is there already: give --force" in capsys.readouterr().err


def test_missing_tools_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "bin", "cmake")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("magicvl.edge.android.toolchain.find_zig", lambda: None)
    assert run(["android", "build"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ninja (pip install ninja, or apt-get install ninja-build); zig (pip install ziglang)" in said
    assert "cmake (" not in said


def test_a_source_that_is_not_there_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "bin", "cmake", "ninja", "c++")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert run(["android", "build", "--variant", "host", "--source", "nothing.tar.gz"]) == 2
    assert "nothing.tar.gz: No such file" in capsys.readouterr().err


def test_the_machines_own_build_is_installed_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "cmake", "ninja", "c++")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def opened(given: Path | None, work: Path, note: object) -> Source:
        return Source(tmp_path, "0.3.36", "0c1e570" + "0" * 33, None, {})

    def built(job: Job, variant: Variant, show: object) -> Path:
        folder = job.work / "done" / variant.name
        folder.mkdir(parents=True, exist_ok=True)
        program(folder, "llama-server")
        record = f'{{"format": 1, "machine": "{os.uname().machine}", "build": "{job.source.build}"}}'
        (folder / RECORD).write_text(record)
        return folder

    monkeypatch.setattr(android_command, "open_source", opened)
    monkeypatch.setattr(android_command, "build", built)
    for _ in range(2):  # the second replaces the first
        folder = build_archive(BuildCall(variants=["host"]), print)
        assert folder == native_folder() / "host"
        assert [path.name for path in folder.parent.iterdir()] == ["host"]
    found = find_server()
    assert found is not None
    assert (found.path, found.variant, found.build) == (folder / "llama-server", "host", "b1-0c1e570")
    assert not list(Path().iterdir())


def test_progress_is_a_line_a_task_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with android_command._line(said.append) as show:
        for text in ("one, step 1 of 2 (0:00)", "one, step 2 of 2 (0:01)", "two"):
            show(text)
    assert said == ["one, step 1 of 2 (0:00)", "two"]
    monkeypatch.setattr(android_command, "LINE_EVERY", 0.0)
    with android_command._line(said.append) as show:
        for text in ("one, step 1 of 2 (0:00)", "one, step 2 of 2 (0:01)"):
            show(text)
    assert said[2:] == ["one, step 1 of 2 (0:00)", "one, step 2 of 2 (0:01)"]
