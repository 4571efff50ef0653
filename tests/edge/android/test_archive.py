"""The archive: the same bytes from the same files, and no damage that goes unseen."""

import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from magicvl.edge.android.archive import Contents, check_output, check_sums, unpack_archive, write_archive
from magicvl.errors import MagicVLError, UsageError


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    """Two variants with a program each, one of the NDK's libraries, and a wheel."""
    built = {}
    for name, files in {
        "i8mm": {"llama-server": b"\x7fELF i8mm"},
        "armv8": {"llama-server": b"\x7fELF armv8"},
        "lib": {"libllama.so": b"\x7fELF lib"},
    }.items():
        folder = tmp_path / "done" / name
        folder.mkdir(parents=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        (folder / "build.json").write_text(json.dumps({"format": 1, "variant": name}))
        built[name] = folder
    wheel = tmp_path / "magicvl-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    return Contents("1.0", "0.3.36", built, [wheel], {"musl": b"MIT\n"})


def test_an_archive_holds_everything(contents: Contents, tmp_path: Path) -> None:
    write_archive(contents, tmp_path / "a.tar.xz")
    (tmp_path / "there").mkdir()
    folder = unpack_archive(tmp_path / "a.tar.xz", tmp_path / "there")
    assert folder.name == "magicvl-android-arm64-1.0"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert sorted(found) == [
        "SHA256SUMS",
        "build.json",
        "install.py",
        "install.sh",
        "licences/musl.txt",
        "native/armv8/build.json",
        "native/armv8/llama-server",
        "native/i8mm/build.json",
        "native/i8mm/llama-server",
        "native/lib/build.json",
        "native/lib/libllama.so",
        "wheels/magicvl-1.0-py3-none-any.whl",
    ]
    runs = {name for name, path in found.items() if path.stat().st_mode & 0o111}
    assert runs == {"install.sh", "native/armv8/llama-server", "native/i8mm/llama-server"}
    record = json.loads(found["build.json"].read_text())
    assert (record["version"], record["llama_cpp_python"]) == ("1.0", "0.3.36")
    assert record["wheels"] == ["magicvl-1.0-py3-none-any.whl"]
    assert record["variants"]["i8mm"]["variant"] == "i8mm"


def test_the_same_files_make_the_same_bytes(contents: Contents, tmp_path: Path) -> None:
    write_archive(contents, tmp_path / "a.tar.xz")
    for path in (tmp_path / "done").rglob("*"):
        path.chmod(0o700)
        path.touch()
    turned = Contents("1.0", "0.3.36", dict(reversed(contents.built.items())), contents.wheels, contents.licences)
    write_archive(turned, tmp_path / "b.tar.xz")
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.xz") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 315532800)}


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:100], lambda data: b"no archive"])
def test_a_damaged_archive_is_refused(contents: Contents, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.tar.xz"
    write_archive(contents, path)
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / "there").mkdir()
    with pytest.raises(MagicVLError, match=r"a\.tar\.xz is damaged or no archive of magicvl"):
        unpack_archive(path, tmp_path / "there")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with lzma.open(tmp_path / "a.tar.xz", "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(__file__, "other/file.py")
    (tmp_path / "there").mkdir()
    with pytest.raises(MagicVLError, match="it lacks SHA256SUMS"):
        unpack_archive(tmp_path / "a.tar.xz", tmp_path / "there")


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_sums_find_what_is_not_as_it_was(contents: Contents, tmp_path: Path, harm: str) -> None:
    write_archive(contents, tmp_path / "a.tar.xz")
    (tmp_path / "there").mkdir()
    folder = unpack_archive(tmp_path / "a.tar.xz", tmp_path / "there")
    path = folder / "native" / "i8mm" / ("more" if harm == "add" else "llama-server")
    path.unlink() if harm == "remove" else path.write_text("other")
    with pytest.raises(MagicVLError, match=rf"is damaged: native/i8mm/{path.name}; "):
        check_sums(folder)


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.tar.xz").touch()
    with pytest.raises(UsageError, match="is there already: give --force"):
        check_output(tmp_path / "a.tar.xz", force=False)
    check_output(tmp_path / "a.tar.xz", force=True)
    with pytest.raises(UsageError, match="is no folder"):
        check_output(tmp_path / "nothing" / "a.tar.xz", force=False)


def test_a_disk_that_refuses_leaves_the_old_archive(contents: Contents, tmp_path: Path) -> None:
    folder = tmp_path / "a.tar.xz"
    folder.mkdir()
    with pytest.raises(MagicVLError, match=r"a\.tar\.xz: Is a directory"):
        write_archive(contents, folder)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_an_archive_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="magicvl android build makes one"):
        unpack_archive(tmp_path / "nothing", tmp_path)
