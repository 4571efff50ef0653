"""The pinned source: fetched, checked, unpacked and patched, whole or not at all."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from magicvl.edge.android import source
from magicvl.edge.android.source import SHA256, check_archive, open_source
from magicvl.edge.variant import llama_pin
from magicvl.errors import MagicVLError, UsageError

PIN = llama_pin()
TOP = f"llama_cpp_python-{PIN}"
LLAMA = f"{TOP}/vendor/llama.cpp"
COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
FILES = {
    f"{TOP}/PKG-INFO": f"Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: {PIN}\n",
    f"{TOP}/.git/modules/vendor/llama.cpp/HEAD": f"{COMMIT}\n",
    f"{LLAMA}/CMakeLists.txt": "project(llama.cpp)\n",
    f"{LLAMA}/LICENSE": "MIT\n",
    f"{LLAMA}/tools/main.cpp": "int main() {\n    return 1;\n}\n",
    f"{LLAMA}/models/large.gguf": "large",
    f"{LLAMA}/.github/ci.yml": "ci",
    f"{TOP}/llama_cpp/__init__.py": "",
}
PATCH = """--- a/tools/main.cpp
+++ b/tools/main.cpp
@@ -1,3 +1,3 @@
 int main() {
-    return 1;
+    return 0;
 }
"""


@pytest.fixture
def patched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of patches, with one in it."""
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "one.patch").write_text(PATCH)
    monkeypatch.setattr(source, "PATCHES", folder)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small source archive with the pinned hash."""
    return make_archive(tmp_path / f"{TOP}.tar.gz", monkeypatch)


def make_archive(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text), 1_000_000_000
            tar.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setitem(SHA256, PIN, hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def quiet(text: str) -> None:
    """A note that nobody reads."""


def test_the_pinned_version_has_a_hash() -> None:
    assert len(bytes.fromhex(SHA256[PIN])) == 32


def test_an_archive_is_unpacked_and_patched(archive: Path, patched: Path, work: Path) -> None:
    found = open_source(archive, work, quiet)
    assert (found.version, found.commit, found.build) == (PIN, COMMIT, "b1-0c1e570")
    assert found.sha256 == SHA256[PIN]
    assert found.patches == {"one.patch": hashlib.sha256(PATCH.encode()).hexdigest()}
    assert "return 0" in (found.folder / "tools" / "main.cpp").read_text()
    assert not (found.folder / "models").exists()
    assert not (found.folder / ".github").exists()
    assert (found.folder / "LICENSE").stat().st_mtime == 1_000_000_000  # or ninja compiles everything again


def test_what_is_there_is_not_unpacked_again(archive: Path, patched: Path, work: Path) -> None:
    found = open_source(archive, work, quiet)
    mark = found.folder / "mark"
    mark.touch()
    archive.unlink()
    assert open_source(None, work, quiet) == found
    assert mark.exists()


def test_another_patch_makes_it_anew(archive: Path, patched: Path, work: Path) -> None:
    open_source(archive, work, quiet)
    (patched / "one.patch").write_text(PATCH.replace("return 0", "return 2"))
    found = open_source(archive, work, quiet)
    assert "return 2" in (found.folder / "tools" / "main.cpp").read_text()


def test_an_unpacked_folder_is_copied_and_left_alone(archive: Path, patched: Path, work: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    found = open_source(tmp_path / TOP, work, quiet)
    assert found.sha256 is None
    assert "return 0" in (found.folder / "tools" / "main.cpp").read_text()
    assert "return 1" in (tmp_path / LLAMA / "tools" / "main.cpp").read_text()


def test_a_patch_applies_inside_a_checkout_too(archive: Path, patched: Path, tmp_path: Path, work: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "objects").mkdir()
    (tmp_path / ".git" / "refs").mkdir()
    found = open_source(archive, work, quiet)
    assert "return 0" in (found.folder / "tools" / "main.cpp").read_text()


def test_a_patch_that_does_not_fit_leaves_nothing(archive: Path, patched: Path, work: Path) -> None:
    (patched / "one.patch").write_text(PATCH.replace("return 1", "return 7"))
    with pytest.raises(MagicVLError, match=r"one\.patch does not fit this llama\.cpp: .*main\.cpp"):
        open_source(archive, work, quiet)
    assert not (work / "source").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_archive_is_refused(archive: Path, patched: Path, work: Path, damage: str) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data[:-20] if damage == "cut" else data)
    with pytest.raises(MagicVLError, match=rf"sha256 .*llama-cpp-python {PIN}'s source has .*fetch it again"):
        open_source(archive, work, quiet)


def test_an_archive_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        check_archive(tmp_path / "nothing", PIN)


def test_a_folder_of_another_version_is_refused(archive: Path, patched: Path, work: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / TOP / "PKG-INFO").write_text("Version: 0.1.2\n")
    with pytest.raises(UsageError, match=rf"is llama-cpp-python 0\.1\.2, magicvl was tried with {PIN}"):
        open_source(tmp_path / TOP, work, quiet)
    (tmp_path / TOP / "PKG-INFO").unlink()
    with pytest.raises(UsageError, match="is no unpacked llama-cpp-python source: it lacks PKG-INFO"):
        open_source(tmp_path / TOP, work, quiet)


def stand_in_pip(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is a shell script, which notes how it was called."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{text}\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_pip_fetches_the_pinned_source(
    archive: Path, patched: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_pip(tmp_path, f"mkdir -p {work}/download && cp {archive} {work}/download/", monkeypatch)
    assert open_source(None, work, quiet).commit == COMMIT
    call = (tmp_path / "calls").read_text().split()
    assert call[:3] == ["-m", "pip", "download"]
    assert call[-3:] == ["--no-binary", "llama-cpp-python", f"llama-cpp-python=={PIN}"]


def test_what_pip_says_is_passed_on(patched: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_pip(tmp_path, "echo first >&2; echo 'ERROR: no network' >&2; exit 1", monkeypatch)
    with pytest.raises(MagicVLError, match=r"ERROR: no network; or give the archive as --source"):
        open_source(None, work, quiet)


def test_a_version_without_a_hash_is_never_built(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "llama_pin", lambda: "9.9.9")
    with pytest.raises(MagicVLError, match=r"sha256 of llama-cpp-python 9\.9\.9's source is not known"):
        open_source(None, work, quiet)
