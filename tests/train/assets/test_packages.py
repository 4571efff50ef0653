import stat
from pathlib import Path

import pytest

from magicvl.errors import SampleError, UsageError
from magicvl.train.assets.packages import PACKAGES, fetch, given, unpack, version_of


def stand_in(folder: Path, name: str, script: str) -> None:
    """A program of that name, in a folder that is made the whole PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_fetches_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", "apt-get", f'echo "$2" >> {tmp_path}/asked; : > "$2_1%3a5_all.deb"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    first = PACKAGES[0].name
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / f"{first}_1_all.deb").touch()
    found = fetch(tmp_path / "debs")
    assert set(found) == {package.name for package in PACKAGES}
    assert (tmp_path / "asked").read_text().split() == [package.name for package in PACKAGES[1:]]
    assert version_of(found[PACKAGES[1].name]) == "1:5"
    assert not list((tmp_path / "debs").glob(".part-*"))


def test_what_apt_says_is_one_line_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", "apt-get", 'echo "E: Unable to locate package" >&2; exit 100')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SampleError, match=r"Unable to locate package.*--debs") as error:
        fetch(tmp_path / "debs")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "debs").iterdir())


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SampleError, match=r"there is no apt-get here.*--debs"):
        fetch(tmp_path / "debs")


def test_a_folder_that_lacks_some_says_which(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        given(tmp_path / "none")
    for package in PACKAGES[1:]:
        (tmp_path / f"{package.name}_1_all.deb").touch()
    with pytest.raises(UsageError, match=f"it lacks {PACKAGES[0].name}; fetch"):
        given(tmp_path)


def test_unpacks_whole_or_not_at_all(made_up_debs: Path, tmp_path: Path) -> None:
    deb = next(made_up_debs.glob("wordnet-base_*.deb"))
    unpack(deb, tmp_path / "wordnet")
    assert (tmp_path / "wordnet/usr/share/wordnet/data.noun").is_file()
    cut = tmp_path / "cut_1_all.deb"
    cut.write_bytes(deb.read_bytes()[:2000])
    with pytest.raises(SampleError, match=r"cut_1_all\.deb: dpkg-deb failed"):
        unpack(cut, tmp_path / "cut")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut_1_all.deb", "wordnet"]


def test_what_apt_never_heard_of_may_be_missing_where_it_is_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = 'case "$2" in scratch|pysiogame) echo "E: Unable to locate package $2" >&2; exit 100;; esac; '
    stand_in(tmp_path / "bin", "apt-get", unknown + ': > "$2_1_all.deb"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = fetch(tmp_path / "debs")
    assert {package.name for package in PACKAGES} - set(found) == {"scratch", "pysiogame"}
    assert given(tmp_path / "debs") == found
