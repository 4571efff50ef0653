"""`magicvl caption` as a process: what it prints, what it refuses, and what it leaves behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageDraw

from magicvl import cli

BRIEF = """
from magicvl.edge.video import description
description.MOST_SUBJECTS = description.MOST_ATTRIBUTES = description.MOST_ACTIONS = 1
description.MOST_WORDS_CHARACTERS, description.MOST_CAPTION_CHARACTERS = 2, 4
"""
"""A form so small that a model which has not learned it comes to an end within it."""
MAIN = "from magicvl.cli import main; main()"
PEAK = """
import atexit, resource, sys
atexit.register(lambda: print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command in an empty folder of its own, with the small form, or without where `code` says otherwise."""

    def start(*arguments: object, code: str = BRIEF) -> "subprocess.CompletedProcess[str]":
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        command = [sys.executable, "-c", code + MAIN, "caption", *map(str, arguments)]
        return subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False
        )

    return start


def draw(number: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    picture = Image.new("RGB", size, (20, 40, 200))
    ImageDraw.Draw(picture).ellipse((number % 60, 10, number % 60 + 20, 30), fill=(230, 20, 20))
    return picture


def write(path: Path, count: int, size: tuple[int, int] = (96, 64), codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            frame: Any = av.VideoFrame.from_image(draw(number, size))  # type: ignore[no-untyped-call]
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write(tmp_path / "film.mp4", 40)


OPTIONS = ("--threads", 1, "--max-tokens", 300)


def test_people_read_a_text_and_programs_an_object(run: Run, film: Path, tmp_path: Path) -> None:
    done = run(film, *OPTIONS, "--frames", 4, "--draw", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert f"{film}: 4 frames from 4.0 seconds, 6 visual tokens each" in done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.size) == ("PNG", (4 * 244 + 4, 164 + 4))
    again = run(film, *OPTIONS, "--frames", 4, "--json", "--window", 2)
    data = json.loads(again.stdout)
    assert again.stdout.count("\n") == 1
    assert [each["time"] for each in data["frames"]] == [0.5, 1.5, 2.5, 3.5]
    assert [each["window"] for each in data["frames"]] == [0, 0, 1, 1]
    assert data["windows"] == [[0.0, 2.0], [2.0, 4.0]]
    assert {"subjects", "caption", "usage", "timings_ms", "frame_budget", "left_out", "notes"} <= set(data)
    assert "2 at most at once" in again.stderr


@pytest.mark.parametrize("kind", ["folder", pytest.param("gif", marks=pytest.mark.slow)])
def test_what_needs_no_extra_is_described_without_it(kind: str, run: Run, tmp_path: Path) -> None:
    source = tmp_path / f"film.{kind}"
    pictures = [draw(10 * number) for number in range(4)]
    if kind == "folder":
        source.mkdir()
        for number, picture in enumerate(pictures):
            picture.save(source / f"{number}.png")
    else:
        pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=500)
    fps = ("--fps", 2) if kind == "folder" else ()
    done = run(source, *OPTIONS, "--json", *fps, code="import sys; sys.modules['av'] = None" + BRIEF)
    assert done.returncode == 0, done.stderr
    assert [each["time"] for each in json.loads(done.stdout)["frames"]] == [0.25, 0.75, 1.25, 1.75]


def refused(done: "subprocess.CompletedProcess[str]", code: int, *says: str) -> None:
    """One line on stderr about it, nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("magicvl: ") and all(text in last for text in says), done.stderr
    assert "Traceback" not in done.stderr


REFUSALS = [
    (["{film}", "--force"], 2, "--force without --draw"),
    (["{film}", "--draw", "{folder}/sheet.jpg"], 2, "ends in .png"),
    (["{film}", "--draw", "{folder}/taken.png"], 2, "taken.png: it is there already; --force overwrites it"),
    (["{film}", "--fps", "3"], 2, "has times of its own"),
    (["{film}", "--frames", "0"], 2, "0 frames: it must be 1 to 1,024"),
    (["{film}", "--start", "9"], 2, "the film is 4.0 seconds long"),
    (["{film}", "--choose", "best"], 2, "'best' is not one of 'uniform', 'scenes'"),
    (["{film}", "--seed", "3"], 2, "seed 3 has no effect at temperature 0"),
    (["{folder}/gone.mp4"], 1, "gone.mp4: no such file"),
    (["{film}", "--model", "{folder}"], 1, "no bundle"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), REFUSALS, ids=[says for _, _, says in REFUSALS])
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], code: int, says: str, film: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    assert cli.run(["caption", *(each.format(film=film, folder=tmp_path) for each in arguments)]) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("magicvl: ") and says in err
    assert taken.read_bytes() == b"mine"


def test_an_answer_cut_short_is_an_error_and_nothing_is_printed_or_drawn(run: Run, film: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = run(film, "--threads", 1, "--max-tokens", 10, "--json", "--draw", sheet, code="")
    refused(done, 1, "the frames from 0.2 to 3.8 s", "max tokens 10", "raise max tokens")
    assert not sheet.exists()


def test_ctrl_c_leaves_nothing_behind(film: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    # It tells itself when it is in the middle of the answer.
    code = """
import os, signal
from magicvl.edge.video import caption
plain = caption.drain
def drain(pieces, heard):
    for _ in range(3):
        next(pieces)
    os.kill(os.getpid(), signal.SIGINT)
    return plain(pieces, heard)
caption.drain = drain
"""
    command = [sys.executable, "-c", code + MAIN, "caption", film, "--threads", "1", "--draw", "sheet.png"]
    started = time.monotonic()
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130 and done.stdout == "" and "Traceback" not in done.stderr
    assert time.monotonic() - started < 60
    assert list(work.iterdir()) == []


def _peak(run: Run, film: Path, frames: Sequence[object]) -> int:
    done = run(film, *OPTIONS, *frames, code=PEAK + BRIEF)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split("peak ")[1].split()[0]) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.parametrize("choose", ["uniform", "scenes"])
def test_memory_does_not_grow_with_the_length_of_the_film(choose: str, run: Run, tmp_path: Path) -> None:
    """Four hundred frames of 640 x 480 px are 369 MB as RGB, and 184 MB as they are decoded."""
    size, options = (640, 480), ("--frames", 4, "--choose", choose)
    short, long = write(tmp_path / "short.mp4", 10, size), write(tmp_path / "long.mp4", 410, size)
    peaks = [_peak(run, film, options) for film in (short, long)]
    assert peaks[1] - peaks[0] < 24 * 2**20, peaks


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_windows(run: Run, tmp_path: Path) -> None:
    """Of twenty frames the tiles are 18 MB, the pictures as much again; of a window of four they are 3.7 each."""
    film = write(tmp_path / "film.mp4", 80, (640, 480))
    common = ("--window", 4, "--budget")
    peaks = [_peak(run, film, ("--frames", count, *common, 300 * count)) for count in (4, 20)]
    assert peaks[1] - peaks[0] < 12 * 2**20, peaks
