import os
import zipfile
from pathlib import Path

import pytest

from magicvl.errors import SampleError
from magicvl.train.assets.pack import SIDE, Pack, installed_pack
from magicvl.train.generator.dataset import SPLITS


def test_reads_in_place_what_a_zip_reader_reads(small_pack: Path) -> None:
    pack = Pack(small_pack / "drawings.zip")
    with zipfile.ZipFile(pack.path) as archive:
        for name in archive.namelist():
            assert pack._data(name) == archive.read(name)


def test_sprites_have_the_side_that_is_asked_for(small_pack: Path) -> None:
    pack = Pack(small_pack / "drawings.zip")
    for thing in pack.catalogue.things[:5]:
        for side in (20, 72, 73, SIDE, 250):
            sprite = pack.sprite(thing, side)
            assert sprite.mode == "RGBA"
            assert max(sprite.size) == side
            assert sprite.width / sprite.height == pytest.approx(thing.width / thing.height, rel=0.08)


def test_no_drawing_is_on_two_sides_of_the_split(small_pack: Path) -> None:
    pack = Pack(small_pack / "drawings.zip")
    sides = [{thing.number for things in pack.things(split).values() for thing in things} for split in SPLITS]
    assert all(sides)
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert set(pack.things("test")) <= set(pack.things("train"))


def test_forked_processes_read_the_same(small_pack: Path) -> None:
    pack = Pack(small_pack / "drawings.zip")
    expected = [pack.sprite(thing, 40).tobytes() for thing in pack.catalogue.things]
    child = os.fork()
    if child == 0:
        same = all(
            pack.sprite(thing, 40).tobytes() == data
            for thing, data in zip(reversed(pack.catalogue.things), reversed(expected), strict=True)
        )
        os._exit(0 if same else 1)
    assert [pack.sprite(thing, 40).tobytes() for thing in pack.catalogue.things] == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_pack_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICVL_ASSETS", str(tmp_path))
    with pytest.raises(SampleError, match="magicvl train assets"):
        installed_pack()


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_pack_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "drawings.zip").write_bytes(data)
    with pytest.raises(SampleError, match=r"not a pack of drawings .*magicvl train assets --force"):
        Pack(tmp_path / "drawings.zip")
