"""Film files as they come: containers, clocks, rotations, and files that are damaged or lie about themselves."""

import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from magicvl.edge.video import film_reader
from magicvl.edge.video.film_file import FileFilm, open_file
from magicvl.edge.video.film_reader import open_reader
from magicvl.edge.video.open_film import open_film
from magicvl.edge.video.scenes import INTERVAL, SIDE, changes, cuts
from magicvl.errors import FilmError

WriteFilm = Callable[..., Path]
Draw = Callable[[int], Image.Image]
Number = Callable[[Image.Image], int]
KINDS = {
    "h264 in mp4": ("film.mp4", "libx264", {}),
    "mpeg4 in mp4": ("film.mp4", "mpeg4", {}),
    "vp9 in webm": ("film.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "h264 with b-frames in mov": ("film.mov", "libx264", {"bf": "2"}),
    "h264 in mkv": ("film.mkv", "libx264", {}),
    "mpeg4 in avi": ("film.avi", "mpeg4", {}),
    "mpeg2 in ts": ("film.ts", "mpeg2video", {"b": "2M"}),
}


def odd(text: str) -> None:
    raise AssertionError(f"nothing is odd about this film, and yet: {text}")


def numbers(film: FileFilm, times: list[float], number: Number) -> list[int]:
    return [number(frame.picture) for frame in film.frames(times)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_shows_the_frame_that_is_on_screen(
    kind: str, write_film: WriteFilm, number: Number, tmp_path: Path
) -> None:
    name, codec, options = KINDS[kind]
    fps = 25 if codec == "mpeg2video" else 10
    film = open_file(write_film(tmp_path / name, 20, fps, codec, options=options), odd)
    assert (film.width, film.height, film.count) == (96, 64, None)
    assert film.seconds == pytest.approx(20 / fps, abs=0.002)
    times = [0.0, 1.51 / fps, 2 / fps, 9.9 / fps, 19.5 / fps]
    frames = list(film.frames(times))
    assert [number(frame.picture) for frame in frames] == [0, 1, 2, 9, 19]
    assert [frame.begins for frame in frames] == pytest.approx([0, 1 / fps, 2 / fps, 9 / fps, 19 / fps], abs=0.002)
    assert [frame.time for frame in frames] == times
    assert all(frame.picture.mode == "RGB" for frame in frames)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_frames_of_unequal_length_are_found_by_their_own_times(
    name: str, write_film: WriteFilm, number: Number, tmp_path: Path
) -> None:
    """Screen recordings show a picture as long as it stays; an mp4's header is often wrong about them."""
    notes: list[str] = []
    path = write_film(tmp_path / name, 6, times=[0, 100, 200, 3000, 3100, 9000], codec="libx264")
    film = open_file(path, notes.append)
    assert film.seconds == pytest.approx(9.1, abs=0.01)
    assert numbers(film, [0.05, 0.15, 2.9, 3.05, 8.99, 9.05], number) == [0, 1, 2, 3, 4, 5]
    assert [frame.begins for frame in film.frames([1.0, 2.0])] == [0.2, 0.2]
    assert all("it says that it is" in note and "there are 9.1" in note for note in notes)
    assert bool(notes) == (name == "film.mp4")


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_what_a_phone_held_otherwise_filmed_is_seen_upright(
    angle: int, mirrored: bool, write_film: WriteFilm, numbered: Draw, number: Number, tmp_path: Path
) -> None:
    """The file holds the picture mirrored and turned, and a matrix that turns it back and then mirrors it."""

    def turned(place: int) -> Image.Image:
        picture = numbered(place)
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture
        return picture.rotate(-angle, expand=True)

    size = (96, 64) if angle % 180 == 0 else (64, 96)
    path = write_film(tmp_path / "film.mp4", 4, draw=turned, size=size, rotation=(angle, mirrored))
    film = open_file(path, odd)
    assert (film.width, film.height) == (96, 64)
    first = next(film.frames([0.31])).picture
    assert number(first) == 3
    difference = np.abs(np.asarray(first).astype(int) - np.asarray(numbered(3)))
    assert difference.mean() < 12, "turned or mirrored otherwise"


def test_pixels_that_are_not_square_are_made_so(write_film: WriteFilm, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 3, pixel=Fraction(16, 11))
    film = open_file(path, odd)
    assert (film.width, film.height) == (140, 64)
    assert next(film.frames([0.0])).picture.size == (140, 64)


def test_a_long_film_is_jumped_through_and_not_decoded(
    write_film: WriteFilm, number: Number, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "film.mp4", 600, codec="libx264", options={"g": "20", "preset": "ultrafast"})
    film = open_file(path, odd)
    monkeypatch.setattr(film_reader, "MOST_DECODED", 140)
    times = [0.05, 10.05, 30.05, 30.15, 59.95]
    assert numbers(film, times, number) == [place % 22 for place in (0, 100, 300, 301, 599)]
    with pytest.raises(FilmError, match="more than 140 frames would have to be decoded"):
        list(film.thumbnails(0, film.seconds))


def test_a_film_of_one_key_frame_is_not_decoded_from_its_beginning_for_each_moment(
    write_film: WriteFilm, number: Number, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "film.mp4", 300, codec="libx264", options={"g": "1000", "preset": "ultrafast"})
    film = open_file(path, odd)
    monkeypatch.setattr(film_reader, "MOST_DECODED", 800)
    assert numbers(film, [float(when) for when in range(30)], number) == [10 * when % 22 for when in range(30)]


def test_a_film_without_an_index_or_a_length_is_measured(write_film: WriteFilm, number: Number, tmp_path: Path) -> None:
    path = write_film(
        tmp_path / "film.webm", 50, codec="libvpx", options={"deadline": "realtime"}, container={"live": "1"}
    )
    with av.open(str(path)) as container:
        assert container.duration is None
    film = open_file(path, odd)
    assert film.seconds == pytest.approx(5.0, abs=0.05)
    assert numbers(film, [0.0, 4.55], number) == [0, 45 % 22]


def test_a_fragmented_film_that_begins_late_begins_at_zero(
    write_film: WriteFilm, number: Number, tmp_path: Path
) -> None:
    container = {"movflags": "frag_keyframe+empty_moov"}
    film = open_file(write_film(tmp_path / "film.mp4", 20, codec="libx264", container=container), odd)
    assert film.seconds == pytest.approx(2.0, abs=0.01)
    assert numbers(film, [0.05, 1.95], number) == [0, 19]


def test_a_film_cut_short_is_taken_as_far_as_it_goes(write_film: WriteFilm, number: Number, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mp4", 100, codec="libx264", container={"movflags": "faststart"})
    notes = list[str]()
    with av.open(str(whole)) as opened:
        places = sorted(packet.pos for packet in opened.demux(video=0) if packet.size and packet.pos is not None)
    # Of the packet in the middle its first bytes alone are there: of one that lacks its last ones a frame can be made.
    (tmp_path / "film.mp4").write_bytes(whole.read_bytes()[: places[50] + 4])
    film = open_file(tmp_path / "film.mp4", notes.append)
    assert 1.0 < film.seconds < 8.0
    assert "it says that it is 10.0 seconds long" in notes[0]
    frames = list(film.frames([0.05, film.seconds - 0.01]))
    assert number(frames[0].picture) == 0 and 0 < frames[1].begins <= film.seconds
    assert any("can't be decoded is passed over" in note for note in notes)


def test_a_title_in_odd_letters_is_no_reason_to_refuse_a_film(write_film: WriteFilm, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", 20, codec="mpeg4")
    with av.open(str(whole)) as opened, av.open(str(tmp_path / "titled.mkv"), "w") as titled:
        titled.metadata["title"] = "a day out"
        stream = titled.add_stream_from_template(opened.streams.video[0])
        for packet in opened.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                titled.mux(packet)
    data = (tmp_path / "titled.mkv").read_bytes()
    assert data.count(b"a day out") == 1
    (tmp_path / "odd.mkv").write_bytes(data.replace(b"a day out", b"a d\x81y out"))
    assert open_file(tmp_path / "odd.mkv", lambda text: None).seconds == pytest.approx(2.0, abs=0.11)


def test_damage_in_the_middle_is_passed_over_and_told(write_film: WriteFilm, number: Number, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mp4", 60, codec="libx264", options={"g": "10", "preset": "ultrafast"})
    data, notes = bytearray(whole.read_bytes()), list[str]()
    begin = data.index(b"mdat") + 8
    third = (len(data) - begin) // 3
    data[begin + third : begin + third + 400] = bytes(400)
    (tmp_path / "film.mp4").write_bytes(data)
    film = open_file(tmp_path / "film.mp4", notes.append)
    assert numbers(film, [0.05, 5.95], number) == [0, 59 % 22]
    assert list(film.thumbnails(0, film.seconds))


def test_a_huge_claimed_size_is_refused_before_anything_is_decoded(write_film: WriteFilm, tmp_path: Path) -> None:
    data = bytearray(write_film(tmp_path / "whole.avi", 3, codec="rawvideo").read_bytes())
    header = data.index(b"strf") + 8
    data[header + 4 : header + 12] = struct.pack("<ii", 65_000, 65_000)
    (tmp_path / "film.avi").write_bytes(data)
    with pytest.raises(FilmError, match=r"film\.avi: (frames of 65,000 x 65,000 px; up to|the size of its frames)"):
        open_file(tmp_path / "film.avi", odd)


def test_frames_larger_than_is_allowed_are_not_decoded(
    write_film: WriteFilm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "film.mp4", 3)
    monkeypatch.setattr(film_reader, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(FilmError, match=r"more than 6,143 px|up to 6,143 px are decoded"):
        open_file(path, odd)


def test_a_claim_of_years_is_measured_and_a_film_of_them_refused(write_film: WriteFilm, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", 2, times=[0, 90_000_000], codec="libx264")
    with pytest.raises(FilmError, match=r"90,00\d\.\d seconds, films of up to 86,400 are read; cut it first"):
        open_file(path, lambda text: None)


def test_a_playlist_cannot_make_it_read_other_files(write_film: WriteFilm, tmp_path: Path) -> None:
    other = write_film(tmp_path / "other.ts", 20, 25, "mpeg2video", options={"b": "2M"})
    playlist = tmp_path / "film.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n")
    with playlist.open("rb") as file, av.open(file) as stock:
        assert stock.format.name == "hls", "a reader without our limits follows it"
    with pytest.raises(FilmError, match="no film in a format or codec that is read"):
        open_file(playlist, odd)


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("aac", rate=16_000)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 1024 * number
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"sound\.mp4: it holds no film, only sound or a cover"):
        open_file(_sound(tmp_path / "sound.mp4"), odd)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no film at all" * 100, "it can't be read as a film"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200), "it can't be read as a film|no film|holds no"),
        (b"\x1aE\xdf\xa3" + bytes(300), "it can't be read as a film|no film|holds no"),
    ],
)
def test_what_is_no_film_is_one_clear_line(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(data)
    with pytest.raises(FilmError, match=rf"film\.mp4: .*({says})") as caught:
        open_film(tmp_path / "film.mp4", note=odd)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_any_damage_is_a_film_or_a_clear_error(cut: int, write_film: WriteFilm, tmp_path: Path) -> None:
    """Every beginning of a film, and every film with noise in it: never another exception."""
    path = tmp_path / "whole.mkv"
    data = bytearray(write_film(path, 12, codec="libx264").read_bytes())
    random = np.random.default_rng(cut)
    noisy = bytearray(data)
    for place in random.integers(0, len(data), 40):
        noisy[place] = random.integers(0, 256)
    for number, changed in enumerate((data[: len(data) * cut // 40], noisy)):
        broken = tmp_path / f"{number}.mkv"
        broken.write_bytes(changed)
        try:
            film = open_file(broken, lambda text: None)
            assert len(list(film.frames([0.0, film.seconds / 2]))) == 2
            list(film.thumbnails(0, film.seconds))
        except FilmError as error:
            assert str(error).startswith(str(broken))


def test_scenes_are_found_in_one_pass_over_small_grey_pictures(
    write_film: WriteFilm, numbered: Draw, tmp_path: Path
) -> None:
    def scene(number: int) -> Image.Image:
        picture = numbered(number)
        return picture if number < 25 else Image.eval(picture, lambda value: 255 - value)

    film = open_file(write_film(tmp_path / "film.mp4", 50, draw=scene, codec="libx264"), odd)
    found = list(film.thumbnails(0, film.seconds))
    assert all(picture.shape == (SIDE, SIDE) and picture.dtype == np.uint8 for _, picture in found)
    times = [when for when, _ in found]
    assert all(b - a >= INTERVAL - 1e-6 for a, b in pairwise(times)) and len(times) > 15
    assert [when for when, _ in cuts(changes(found))] == pytest.approx([2.5], abs=2 * INTERVAL)
    later = [when for when, _ in film.thumbnails(3.0, 5.0)]
    assert 3.0 <= later[0] < 3.0 + INTERVAL and later[-1] < 5.0


def test_without_pyav_there_is_one_clear_line(write_film: WriteFilm, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 2)
    code = f"""
import sys
sys.modules["av"] = None
from pathlib import Path
from magicvl.edge.video.open_film import open_film
try:
    open_film(Path({str(path)!r}), note=print)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("FilmError") and "pip install 'magicvl[video]'" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_reader_says_what_goes_wrong_with_the_file_itself(tmp_path: Path) -> None:
    with (
        pytest.raises(FilmError, match=r"gone\.mp4: it can't be read \(No such file"),
        open_reader(tmp_path / "gone.mp4"),
    ):
        pass
