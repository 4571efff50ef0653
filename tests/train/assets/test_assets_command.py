import json
from pathlib import Path

import pytest

from magicvl.cli import main
from magicvl.train.assets.build import build
from magicvl.train.assets.pack import Pack, installed_pack
from magicvl.train.assets.packages import PACKAGES
from magicvl.train.assets.report import summarise


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "assets", *arguments])
    return int(stopped.value.code or 0)


def test_makes_a_pack_of_deb_files_and_says_what_is_in_it(
    made_up_debs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path / "assets"))
    assert run("--debs", str(made_up_debs), "--json") == 0
    output = capsys.readouterr()
    summary = json.loads(output.out)
    assert "drawings could not be drawn" in output.err
    # dog: a stamp and two drawings, of which one is the copy of a third; penguin: a stamp and a costume.
    assert summary["drawings"] == {"stamps": 3, "openclipart": 3, "flashcards": 1, "costumes": 2, "emoji": 1}
    assert summary["in_two_sets"] == ["car", "dog", "penguin"]
    assert summary["trained"] == 6
    assert summary["packages"]["scratch"] == "1:2-3"
    assert sorted(path.name for path in (tmp_path / "assets").iterdir()) == ["drawings.zip"]

    pack = installed_pack()
    assert set(pack.names) == {"dog", "penguin", "car", "acoustic guitar", "apple", "mouse"}
    assert pack.names["apple"].article == "an"
    assert pack.names["mouse"].plural == "mice"
    assert pack.names["car"].others == ("auto", "automobile")
    assert set(pack.things("test")) == {"dog", "penguin"}
    assert pack.licences()["scratch"].startswith("Licence: CC-BY-SA")
    assert pack.catalogue.backdrops

    made = (tmp_path / "assets/drawings.zip").stat().st_mtime_ns
    assert run() == 0
    assert "6 names are trained on" in capsys.readouterr().out
    assert run("--debs", str(made_up_debs)) == 2
    assert "the pack is there already" in capsys.readouterr().err
    assert (tmp_path / "assets/drawings.zip").stat().st_mtime_ns == made


def test_the_same_packages_give_the_same_pack(made_up_roots: dict[str, Path]) -> None:
    told: list[tuple[str, int, int]] = []
    one = build(made_up_roots, {}, lambda *told_now: told.append(told_now))
    assert one.content == build(made_up_roots, {}).content
    assert (one.refused, one.alike) == (1, 1)
    assert told[0][0] == "rendering drawing" and told[-1][1] == told[-1][2]


def test_a_folder_without_packages_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path / "assets"))
    assert run("--debs", str(tmp_path)) == 2
    assert f"it lacks {PACKAGES[0].name}" in capsys.readouterr().err
    assert not (tmp_path / "assets").exists()


@pytest.mark.slow
def test_the_installed_pack_has_enough_names() -> None:
    try:
        pack = installed_pack()
    except Exception as error:
        pytest.skip(str(error))
    summary = summarise(Pack(pack.path))
    assert summary.trained >= 600
    unseen = set(pack.things("test")) | set(pack.things("style"))
    assert len(unseen) >= 400
    assert summary.megabytes <= 42
    for thing in pack.catalogue.things:
        assert pack.sprite(thing, 40).getbbox()
