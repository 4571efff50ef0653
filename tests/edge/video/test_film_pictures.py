"""Films that Pillow reads: GIF, animated WebP and PNG, and folders of pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magicvl.edge.pixels import open_picture
from magicvl.edge.video import film_animation, film_folder
from magicvl.edge.video.film_animation import AnimatedFilm
from magicvl.edge.video.film_folder import FolderFilm
from magicvl.edge.video.open_film import open_film
from magicvl.errors import FilmError, PictureError, UsageError

Draw = Callable[[int], Image.Image]
Number = Callable[[Image.Image], int]
SHOWN = [100, 200, 300, 0, 50, 10, 1000, 70]
"""Milliseconds of each picture; what claims 10 or less is shown for 100."""
BEGINS = [0.0, 0.1, 0.3, 0.6, 0.7, 0.75, 0.85, 1.85]


def odd(text: str) -> None:
    raise AssertionError(f"nothing is odd about this film, and yet: {text}")


@pytest.fixture
def save(tmp_path: Path, numbered: Draw) -> Callable[..., Path]:
    """Saves eight numbered pictures as one file."""

    def write(name: str, **options: object) -> Path:
        first, *rest = map(numbered, range(8))
        first.save(tmp_path / name, save_all=True, append_images=rest, **{"duration": SHOWN} | options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png"])
def test_each_picture_is_shown_for_its_time(name: str, save: Callable[..., Path], number: Number) -> None:
    found = open_film(save(name), note=odd)
    assert isinstance(found, AnimatedFilm)
    assert (found.width, found.height, found.count) == (96, 64, 8)
    assert found.seconds == pytest.approx(1.92)
    frames = list(found.frames([0.0, 0.09, 0.1, 0.65, 0.72, 1.84, 1.9]))
    assert [number(frame.picture) for frame in frames] == [0, 0, 1, 3, 4, 6, 7]
    assert [frame.begins for frame in frames] == pytest.approx([0.0, 0.0, 0.1, 0.6, 0.7, 0.85, 1.85])
    assert [when for when, _ in found.thumbnails(0.0, 2.0)] == pytest.approx([0.0, 0.3, 0.6, 0.85, 1.85])
    assert [when for when, _ in found.thumbnails(0.5, 1.0)] == pytest.approx([0.6, 0.85])


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png"])
def test_an_animation_is_not_decoded_past_the_end_of_a_part(
    name: str, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, decoded, goes_on = open_film(save(name), note=odd), list[int](), film_animation._goes_on

    def watched(picture: Image.Image, place: int, name: str) -> bool:
        decoded.append(place)
        return goes_on(picture, place, name)

    monkeypatch.setattr(film_animation, "_goes_on", watched)
    assert [when for when, _ in found.thumbnails(0.0, 0.7)] == pytest.approx([0.0, 0.3, 0.6])
    assert decoded == [0, 1, 2, 3]


def test_a_picture_for_those_who_cannot_play_it_is_no_part_of_a_film(save: Callable[..., Path], number: Number) -> None:
    found = open_film(save("film.png", default_image=True, duration=SHOWN[:7]), note=odd)
    assert found.count == 7
    assert number(next(found.frames([0.0])).picture) == 1


def test_what_is_seen_through_is_on_white(tmp_path: Path) -> None:
    clear = [Image.new("RGBA", (32, 32), (255, 0, 0, alpha)) for alpha in (255, 0)]
    clear[0].save(tmp_path / "film.webp", save_all=True, append_images=clear[1:], duration=100, lossless=True)
    frames = [frame.picture for frame in open_film(tmp_path / "film.webp", note=odd).frames([0.05, 0.15])]
    assert [frame.getpixel((5, 5)) for frame in frames] == [(255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("name", ["film.gif", "film.png"])
def test_a_file_cut_short_is_taken_as_far_as_it_goes(
    name: str, save: Callable[..., Path], number: Number, tmp_path: Path
) -> None:
    data, notes = save(name).read_bytes(), list[str]()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(data[: len(data) * 2 // 3])
    found = open_film(cut, note=notes.append)
    assert found.count is not None and 2 <= found.count < 8
    assert f"taken as far as it goes, {found.count} pictures" in notes[0]
    assert number(next(found.frames([found.seconds])).picture) == found.count - 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png"])
def test_any_damage_is_a_film_or_a_clear_error(name: str, seed: int, save: Callable[..., Path], tmp_path: Path) -> None:
    data, random = bytearray(save(name).read_bytes()), np.random.default_rng(seed)
    for place in random.integers(8, len(data), 1 + 3 * seed):
        data[place] = random.integers(0, 256)
    broken = tmp_path / f"broken-{name}"
    broken.write_bytes(data)
    try:
        found = open_film(broken, note=lambda text: None)
        assert len(list(found.frames([0.0, found.seconds / 2, found.seconds]))) == 3
        list(found.thumbnails(0, found.seconds))
    except PictureError as error:
        assert str(error).startswith(str(broken)) and "\n" not in str(error)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "still.webp", "still.gif"])
def test_a_still_is_no_film(name: str, numbered: Draw, tmp_path: Path) -> None:
    numbered(0).save(tmp_path / name)
    with pytest.raises(FilmError, match=r"picture, no film: ask about it with magicvl ask"):
        open_film(tmp_path / name, note=odd)


def test_a_small_file_of_a_great_many_pixels_is_refused(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, notes = save("film.gif"), list[str]()
    monkeypatch.setattr(film_animation, "MOST_PIXELS", 5 * 96 * 64)
    assert open_film(path, note=notes.append).count == 5
    assert "more than 5 pictures of this size are not decoded; taken as far as it goes" in notes[0]


def test_a_claimed_size_is_refused_before_a_pixel_is_decoded(save: Callable[..., Path]) -> None:
    path = save("film.gif")
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"65535 x 65535 px is more than|claims more than"):
        open_film(path, note=odd)


@pytest.fixture
def folder(tmp_path: Path, numbered: Draw) -> Path:
    """Twelve pictures, numbered without zeros, and what else lies in folders."""
    place = tmp_path / "frames"
    place.mkdir()
    for count in range(12):
        numbered(count).save(place / f"frame-{count}{'.JPG' if count % 2 else '.png'}", format="PNG")
    (place / "notes.txt").write_text("no picture")
    (place / ".hidden.png").write_text("no picture either")
    (place / "more.png").mkdir()
    return place


@pytest.mark.parametrize(("fps", "seconds"), [(None, 12.0), (4.0, 3.0), (0.5, 24.0)])
def test_a_folder_is_in_the_order_that_people_count_in(
    fps: float | None, seconds: float, folder: Path, number: Number
) -> None:
    notes: list[str] = []
    found = open_film(folder, fps=fps, note=notes.append)
    assert isinstance(found, FolderFilm)
    assert (found.count, found.seconds, found.width, found.height) == (12, seconds, 96, 64)
    assert notes == [f"{folder}: what is no picture is left out, 1 of 13 files"]
    times = [seconds * (i + 0.5) / 12 for i in range(12)]
    assert [number(frame.picture) for frame in found.frames(times)] == list(range(12))
    assert number(next(found.frames([seconds])).picture) == 11
    assert [when for when, _ in found.thumbnails(0.0, 1.0)] == [when / 4 for when in range(4)][:: 1 if fps == 4 else 4]


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_meant_is_refused(fps: float, folder: Path) -> None:
    with pytest.raises(UsageError, match="frames a second: it must be above 0"):
        open_film(folder, fps=fps, note=lambda text: None)


def test_a_rate_for_what_has_times_of_its_own_is_refused(save: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="has times of its own"):
        open_film(save("film.gif"), fps=2.0, note=odd)


def test_a_folder_without_pictures_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="no picture lies in this folder"):
        open_film(tmp_path, note=odd)


def test_a_damaged_picture_in_a_folder_is_named(folder: Path) -> None:
    (folder / "frame-3.JPG").write_bytes(b"no picture")
    found = open_film(folder, note=lambda text: None)
    with pytest.raises(PictureError, match=r"frame-3\.JPG: not a picture"):
        list(found.frames([3.5]))


def test_thumbnails_are_made_of_nothing_but_what_is_due(folder: Path) -> None:
    found = open_film(folder, fps=10.0, note=lambda text: None)
    for count in (3, 5, 6):
        next(folder.glob(f"frame-{count}.*")).write_bytes(b"no picture")
    assert [when for when, _ in found.thumbnails(0.0, 0.5)] == [0.0, 0.2, 0.4]


@pytest.mark.parametrize("slow", [1e-6])
def test_a_film_of_days_is_refused(slow: float, folder: Path) -> None:
    with pytest.raises(FilmError, match=r"seconds, films of up to 86,400 are read; cut it first"):
        open_film(folder, fps=slow, note=lambda text: None)


@pytest.mark.parametrize(
    ("name", "says"), [("gone.mp4", "no such file"), ("empty.mp4", "the file is empty"), ("a\0b", "no such file")]
)
def test_what_is_not_there_is_said(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FilmError, match=says):
        open_film(f"{tmp_path}/{name}", note=odd)


def test_a_film_that_is_open_is_taken_as_it_is(folder: Path) -> None:
    found = film_folder.open_folder(folder, 2.0, lambda text: None)
    assert open_film(found, note=odd) is found
    assert open_picture(found.paths[0]).size == (96, 64)
