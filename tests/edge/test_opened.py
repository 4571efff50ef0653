"""What is taken for the same picture, and what is kept of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicvl import DEFAULT_BUNDLE
from magicvl.edge import opened
from magicvl.edge.bundle import read_bundle
from magicvl.edge.noise import noise
from magicvl.edge.opened import OpenedPictures
from magicvl.edge.request import CutPicture, open_and_cut
from magicvl.errors import PictureError

LOCK = read_bundle(DEFAULT_BUNDLE).lock


def png(seed: int, side: int = 96) -> bytes:
    file = io.BytesIO()
    noise((side, side), seed).save(file, "PNG")
    return file.getvalue()


def same(one: CutPicture, other: CutPicture) -> bool:
    return one.plan == other.plan and all(map(np.array_equal, one.tiles, other.tiles))


def test_the_same_bytes_are_opened_once_whatever_they_are_called(tmp_path: Path) -> None:
    pictures = OpenedPictures(LOCK)
    data = png(1)
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(data)
    first = pictures.cut(tmp_path / "a.png", None)
    assert same(first, open_and_cut(data, LOCK, None))
    assert pictures.cut(str(tmp_path / "b.png"), None) is first
    assert pictures.cut(data, None) is first
    pictures.clear()
    assert pictures.cut(data, None) is not first


def test_another_budget_is_another_cut() -> None:
    pictures = OpenedPictures(LOCK)
    whole, small = pictures.cut(png(1), None), pictures.cut(png(1), 4)
    assert (whole.plan.tokens, small.plan.tokens) == (9, 4)
    assert pictures.cut(png(1), 4) is small


def test_a_file_written_anew_is_opened_anew(tmp_path: Path) -> None:
    pictures = OpenedPictures(LOCK)
    path = tmp_path / "a.png"
    for seed in (1, 2):
        path.write_bytes(png(seed))
        assert same(pictures.cut(path, None), open_and_cut(png(seed), LOCK, None))


def test_a_picture_in_memory_is_never_taken_for_an_earlier_one() -> None:
    pictures = OpenedPictures(LOCK)
    picture = noise((64, 64), 1)
    before = pictures.cut(picture, None)
    picture.paste("red", (0, 0, 64, 64))
    after = pictures.cut(picture, None)
    assert not same(before, after)
    assert same(after, open_and_cut(Image.new("RGB", (64, 64), "red"), LOCK, None))


def test_tiles_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        OpenedPictures(LOCK).cut(png(1), None).tiles[0][:] = 0


def test_the_least_recently_used_goes_first() -> None:
    pictures = OpenedPictures(LOCK, 3 * 96 * 96 * 2)
    one, two = pictures.cut(png(1), None), pictures.cut(png(2), None)
    assert pictures.cut(png(1), None) is one
    pictures.cut(png(3), None)
    assert pictures.cut(png(1), None) is one
    assert pictures.cut(png(2), None) is not two


def test_a_picture_larger_than_all_that_is_kept_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = OpenedPictures(LOCK, 100)
    one = pictures.cut(png(1), None)
    assert pictures.cut(png(1), None) is not one
    assert same(pictures.cut(png(1), None), one)


def test_a_large_file_is_opened_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "FILE_BYTES", 100)
    pictures = OpenedPictures(LOCK)
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    one = pictures.cut(path, None)
    assert pictures.cut(path, None) is not one


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"hello", "not a picture in a format"),
        (png(1)[:500], "cut"),
    ],
)
def test_what_is_wrong_is_told_with_the_files_name(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=f"a.png: .*{words}"):
        OpenedPictures(LOCK).cut(path, None)
    with pytest.raises(PictureError, match=r"a directory"):
        OpenedPictures(LOCK).cut(tmp_path, None)
