"""The Python packages and licences of an archive: all that is needed, and nothing that a phone would compile."""

import importlib.metadata
import os
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from magicvl.cli import run
from magicvl.edge.android import wheels
from magicvl.edge.android.archive import unpack_archive
from magicvl.edge.android.licences import licences
from magicvl.edge.android.wheels import COMPILED_ELSEWHERE, PINS, make_wheels
from magicvl.errors import MagicVLError

ARCHIVE = os.environ.get("MAGICVL_ANDROID_ARCHIVE")

# A pip that makes what it is asked for: every NAME==VERSION, and magicvl from its copy of the checkout.
PIP = """#!/bin/sh
echo "CC=$CC $*" >> {folder}/calls
for argument do
    case $previous in --dest|--wheel-dir) mkdir -p "$argument"; to=$argument ;; esac
    case $argument in
        *==*) name=$(echo "${{argument%%==*}}" | tr - _)
            touch "$to/$name-${{argument##*==}}-{tag}.whl" ;;
        */magicvl) test -f "$argument/pyproject.toml" && test ! -e "$argument/.venv" && touch \
"$to/magicvl-0.1.0-py3-none-any.whl" ;;
    esac
    previous=$argument
done
"""


def stand_in_pip(folder: Path, monkeypatch: pytest.MonkeyPatch, tag: str = "py3-none-any") -> None:
    python = folder / "python"
    python.write_text(PIP.format(folder=folder, tag=tag))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout, and a folder of builds beside it."""
    folder = tmp_path / "checkout"
    (folder / ".venv").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    monkeypatch.setattr(wheels, "CHECKOUT", folder)
    (tmp_path / "work").mkdir()
    return folder


def test_the_pins_are_what_magicvl_asks_for() -> None:
    required = [Requirement(text) for text in importlib.metadata.requires("magicvl") or []]
    core = {each.name: each for each in required if each.marker is None}
    assert set(core) - COMPILED_ELSEWHERE <= set(PINS)
    assert set(core) >= COMPILED_ELSEWHERE
    assert all(each.specifier.contains(PINS[name]) for name, each in core.items() if name in PINS)


def test_wheels_of_others_are_fetched_once(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_pip(tmp_path, monkeypatch)
    work = tmp_path / "work"
    found = make_wheels(work, work / "log", lambda text: None)
    assert [path.name.split("-")[0] for path in found] == sorted(
        ["magicvl", *(name.replace("-", "_") for name in PINS)]
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[3] for call in calls] == ["download", "wheel", "wheel"]
    assert calls[1].startswith("CC=false ")
    assert make_wheels(work, work / "log", lambda text: None) == found
    assert len((tmp_path / "calls").read_text().splitlines()) == len(calls) + 1  # our own alone is packed again


def test_a_wheel_with_native_code_is_refused(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_pip(tmp_path, monkeypatch, tag="cp311-cp311-linux_x86_64")
    work = tmp_path / "work"
    with pytest.raises(MagicVLError, match="pip made no wheel for everywhere of annotated-doc, diskcache"):
        make_wheels(work, work / "log", lambda text: None)


def test_an_archive_is_made_from_a_checkout(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "pyproject.toml").unlink()
    assert run(["android", "build"]) == 1
    assert "works in a checkout of magicvl, not from an installed wheel" in capsys.readouterr().err


def test_a_licence_that_is_not_found_is_listed(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("MIT\n")
    with pytest.raises(
        MagicVLError, match=r"no licence found for cpp-httplib, .*llamafile-sgemm.*, stb, subprocess\.h: "
    ):
        licences(tmp_path, None)


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE, reason="MAGICVL_ANDROID_ARCHIVE names no archive of magicvl android build")
def test_the_archive_needs_nothing_else(tmp_path: Path) -> None:
    assert ARCHIVE
    folder = unpack_archive(Path(ARCHIVE), tmp_path)
    held, wanted = set[str](), set[str]()
    for path in (folder / "wheels").iterdir():
        assert path.name.endswith("-none-any.whl")
        with zipfile.ZipFile(path) as wheel:
            assert not [name for name in wheel.namelist() if name.endswith((".so", ".pyd", ".dylib"))]
            name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = Parser().parsestr(wheel.read(name).decode())
        held.add(metadata["Name"].lower())
        required = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
        wanted |= {each.name.lower() for each in required if each.marker is None or each.marker.evaluate({"extra": ""})}
    assert wanted - held == COMPILED_ELSEWHERE
    assert {"magicvl.txt", "llama.cpp.txt", "musl.txt", "libc++.txt"} <= {
        path.name for path in (folder / "licences").iterdir()
    }
