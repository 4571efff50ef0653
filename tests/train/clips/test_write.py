"""Films that were written are what was drawn, read back by Pillow and PyAV themselves."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from typer.testing import CliRunner

from magicvl.cli import app
from magicvl.errors import UsageError
from magicvl.train.clips import write
from magicvl.train.clips.clip import Clip
from magicvl.train.clips.make import make_clip
from magicvl.train.clips.write import FPS, frame_times, write_film

STYLE = "shapes/mixed"


@pytest.fixture
def clip() -> Clip:
    return make_clip(0, 2, "train", STYLE)


def far(clip: Clip, seconds: float, picture: Image.Image) -> float:
    """The mean distance of a picture from the frame of a time, of 255."""
    due = np.asarray(clip.picture(seconds)).astype(float)
    return float(np.abs(due - np.asarray(picture.convert("RGB"))).mean())


def test_an_mp4_has_every_frame_at_its_time(clip: Clip, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    write_film(clip, path, "mp4")
    with av.open(str(path)) as film:
        frames = [(frame.time, frame.to_image()) for frame in film.decode(video=0)]
        assert (film.streams.video[0].width, film.streams.video[0].height) == (clip.width, clip.height)
    assert [round(seconds, 3) for seconds, _ in frames] == frame_times(clip)
    assert len(frames) == round(clip.seconds * FPS)
    assert max(far(clip, seconds, picture) for seconds, picture in frames[::7]) < 6
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


def test_a_gif_shows_every_frame_as_long_as_it_should(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    write_film(clip, path, "gif")
    with Image.open(path) as film:
        now, worst = 0.0, 0.0
        for picture in ImageSequence.Iterator(film):
            worst = max(worst, far(clip, now, picture))
            now += picture.info["duration"] / 1000
    # Frames that are alike are kept once.
    assert now == pytest.approx(round(clip.seconds * FPS) / FPS)
    assert worst < 6


def test_a_folder_has_the_frames_themselves(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "film"
    for _ in range(2):
        write_film(clip, path, "frames")
    files = sorted(path.iterdir())
    assert len(files) == len(frame_times(clip))
    for seconds, file in list(zip(frame_times(clip), files, strict=True))[::9]:
        with Image.open(file) as picture:
            assert picture.tobytes() == clip.picture(seconds).tobytes()
    assert [each.name for each in tmp_path.iterdir()] == ["film"]


def test_a_film_that_cannot_be_written_leaves_nothing(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", broken)
    for kind in ("gif", "frames"):
        with pytest.raises(OSError):
            write_film(clip, tmp_path / "film", kind)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_mp4_without_pyav_is_refused_in_one_line(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"install magicvl\[video\]"):
        write_film(clip, tmp_path / "film.mp4", "mp4")
    result = CliRunner().invoke(app, ["train", "clips", "-o", str(tmp_path / "out"), "--count", "1"])
    assert isinstance(result.exception, UsageError)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_is_missing_is_named(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr(write, "_CODECS", ("none",))
    with pytest.raises(UsageError, match="encoders none"):
        write_film(clip, tmp_path / "film.mp4", "mp4")


def run(*words: str) -> int:
    return CliRunner().invoke(app, ["train", "clips", *words]).exit_code


def test_the_command_writes_films_rows_and_a_sheet(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("-o", str(out), "--style", STYLE, "--count", "3", "--format", "gif", "--seed", "5")
    assert run(*command) == 0
    rows = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    for index, row in enumerate(rows):
        clip = make_clip(5, index, "train", STYLE)
        assert row["id"] == clip.id and row["caption"] == clip.caption
        assert [event["text"] for event in row["events"]] == [event.text for event in clip.events]
        assert (out / row["file"]).stat().st_size > 1000
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height > 3 * 100 and sheet.width > 8 * 100
    before = (out / "clips.jsonl").read_bytes()
    assert run(*command) == 0
    assert (out / "clips.jsonl").read_bytes() == before
    assert run(*command[:-1], "6") != 0
    assert run("-o", str(out), "--count", "0") != 0


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        assert run("-o", str(folder), "--count", "3", "--format", "frames") == 0
    rows = (cut / "clips.jsonl").read_bytes()
    (cut / "clips.jsonl").write_bytes(rows[: rows.index(b"\n") + 40])
    assert run("-o", str(cut), "--count", "3", "--format", "frames") == 0
    assert (cut / "clips.jsonl").read_bytes() == (whole / "clips.jsonl").read_bytes() == rows


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["train", "clips", "-o", str(out), "--count", "100000", "--format", "gif"]
    process = subprocess.Popen([sys.executable, "-m", "magicvl", *words])
    while not (out / "00002.gif").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    rows = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    assert len(rows) >= 3
    assert sorted(each["file"] for each in rows) == sorted(each.name for each in out.glob("*.gif"))
