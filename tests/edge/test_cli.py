"""The real command in a real process: what it prints where, and how it ends."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import pytest
from PIL import Image

from magicvl import cli
from magicvl.edge.bundle import sha256
from magicvl.edge.plan import Grid, plan

COMMAND = [sys.executable, "-m", "magicvl"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def magicvl(*arguments: object) -> Done:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def picture(tmp_path: Path, make_picture: Callable[[int, int], Image.Image]) -> Path:
    path = tmp_path / "picture.png"
    make_picture(500, 300).save(path)
    return path


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_an_answer_streams_to_stdout_alone(tiny_bundle: Path, picture: Path) -> None:
    done = magicvl("ask", picture, "-p", "what?", "--model", tiny_bundle, "--max-tokens", 4, "--threads", 1)
    assert done.code == 0
    assert done.out.endswith("\n")
    assert "--max-tokens 4" in done.err or not done.err


def test_json_is_one_object_and_equals_the_stream(tiny_bundle: Path, picture: Path) -> None:
    common = ["--model", tiny_bundle, "--max-tokens", 6, "--threads", 1]
    text = magicvl("ask", picture, picture, "-p", "what?", *common)
    data = json.loads(magicvl("ask", picture, picture, "-p", "what?", "--json", *common).out)
    assert text.out == data["answer"] + "\n"
    assert data["images"] == [plan(500, 300, Grid()).to_json()] * 2
    assert data["usage"]["image_tokens"] == 2 * 144
    assert set(data) == {"answer", "finish_reason", "images", "usage", "timings_ms"}


def test_a_seed_repeats_a_sampled_answer(tiny_bundle: Path, picture: Path) -> None:
    common = ["ask", picture, "-p", "x", "--model", tiny_bundle, "--max-tokens", 8, "--threads", 1]
    sampled = [*common, "--temperature", 5, "--top-p", 0.99]
    assert magicvl(*sampled, "--seed", 1).out == magicvl(*sampled, "--seed", 1).out


def test_a_reduction_is_said(tiny_bundle: Path, picture: Path) -> None:
    common = ["--model", tiny_bundle, "--max-tokens", 1, "--threads", 1]
    done = magicvl("ask", picture, "-p", "x", "--budget", 40, *common)
    made = plan(500, 300, Grid(), 40)
    assert f"scaled down from 500 x 300 px to {made.resized[0]} x {made.resized[1]} px" in done.err
    assert "budget of 40" in done.err
    assert "scaled" not in magicvl("ask", picture, "-p", "x", *common).err


def test_plan_prints_and_draws(tiny_bundle: Path, picture: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.png"
    common = ["plan", picture, "--model", tiny_bundle, "--no-predict", "--draw", drawn]
    done = magicvl(*common, "--json")
    made = plan(500, 300, Grid())
    assert json.loads(done.out) == made.to_json() | {"tile_boxes": [list(box) for box in made.tile_boxes]}
    with Image.open(drawn) as found:
        assert found.size == made.resized
    again = magicvl(*common)
    assert (again.code, again.out) == (2, "") and "--force" in again.err
    forced = magicvl(*common, "--force", "--budget", 40)
    assert forced.code == 0 and "tokens   40" in forced.out and "scale " in forced.out


def one_line(done: Done, code: int, words: str) -> None:
    assert done.code == code, done
    assert done.out == ""
    assert done.err.startswith("magicvl: ") and done.err.count("\n") == 1 and words in done.err, done.err


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("command", ["ask", "plan"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.png", "no such file"),
        ("text.png", "not a picture"),
        ("cut.jpg", "cut short"),
        ("bomb.png", "px"),
        ("empty.png", "empty"),
    ],
)
def test_a_bad_picture_is_one_line(
    tiny_bundle: Path, picture: Path, tmp_path: Path, command: str, name: str, words: str
) -> None:
    Image.open(picture).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    contents = {
        "text.png": b"words\n",
        "cut.jpg": whole[: len(whole) // 2],
        "bomb.png": bomb(),
        "empty.png": b"",
    }
    if name in contents:
        (tmp_path / name).write_bytes(contents[name])
    arguments = ["-p", "x", "--threads", 1] if command == "ask" else ["--no-predict"]
    done = magicvl(command, tmp_path / name, "--model", tiny_bundle, *arguments)
    one_line(done, 1, words)
    assert name in done.err


def relock(bundle: Path) -> None:
    """Makes the lock's sizes and hashes those of the files."""
    path = bundle / "magicvl.json"
    data = json.loads(path.read_text())
    for entry in data["files"].values():
        file = bundle / entry["path"]
        entry.update(size=file.stat().st_size, sha256=sha256(file))
    path.write_text(json.dumps(data))


def ask(bundle: Path, picture: Path) -> Done:
    return magicvl("ask", picture, "-p", "x", "--model", bundle, "--max-tokens", 1, "--threads", 1)


@pytest.mark.parametrize("name", ["llm.gguf", "mmproj.gguf"])
def test_a_gguf_cut_short_is_one_line(copy: Path, picture: Path, name: str) -> None:
    file = copy / name
    file.write_bytes(file.read_bytes()[:-5000])
    one_line(ask(copy, picture), 1, "bytes, the lock says")
    relock(copy)
    one_line(ask(copy, picture), 1, "the file has")
    file.write_bytes(file.read_bytes()[:1000])
    relock(copy)
    one_line(ask(copy, picture), 1, "past the end")


def test_a_hash_that_does_not_match_is_one_line(copy: Path, picture: Path) -> None:
    data = bytearray((copy / "llm.gguf").read_bytes())
    data[-1] ^= 1
    (copy / "llm.gguf").write_bytes(data)
    one_line(ask(copy, picture), 1, "sha256")


def test_an_mmproj_of_another_width_is_one_line(copy: Path, picture: Path) -> None:
    reader = gguf.GGUFReader(copy / "mmproj.gguf", "r+")
    reader.fields["clip.vision.projection_dim"].parts[-1][0] *= 2
    reader.data.flush()
    relock(copy)
    one_line(ask(copy, picture), 1, "clip.vision.projection_dim is 256, the lock says 128")


def test_a_directory_that_is_no_bundle_is_one_line(tmp_path: Path, picture: Path) -> None:
    one_line(ask(tmp_path, picture), 1, "no magicvl.json")
    one_line(ask(Path("x" * 300), picture), 1, "no magicvl.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command"),
        (["nothing"], "No such command"),
        (["ask", "a.png"], "--prompt"),
        (["ask", "-p", "x"], "images"),
        (["ask", "a.png", "-p", "x", "--seed", "1"], "no effect at temperature 0"),
        (["ask", "a.png", "-p", "x", "--top-p", "0.5"], "no effect at temperature 0"),
        (["ask", "a.png", "-p", "x", "--temperature", "-1"], "0 or more"),
        (["ask", "a.png", "-p", "x", "--max-tokens", "none"], "--max-tokens"),
        (["ask", "a.png", "-p", "x", "--max-seconds", "0"], "above 0"),
        (["ask", "a.png", "-p", "x", "--max-seconds", "2", "--budget", "9"], "one of them"),
        (["ask", "--batch", "a.jsonl", "-o", "b.jsonl", "--max-seconds", "2"], "--batch"),
        (["ask", "--batch", "a.jsonl", "-o", "b.jsonl", "--key-type", "q8_0"], "no effect with --batch"),
        (["plan", "a.png", "--max-seconds", "nan"], "above 0"),
        (["plan", "a.png", "--max-seconds", "2", "--budget", "9"], "one of them"),
        (["plan", "a.png", "--max-seconds", "2", "--no-predict"], "--no-predict"),
        (["plan", "a.png", "--calibrate", "--no-predict"], "--no-predict"),
        (["plan", "a.png", "--threads", "1", "--no-predict"], "--no-predict"),
        (["plan", "a.png", "--threads", "0"], "at least 1"),
        (["plan", "a.png", "b.png", "--draw", "c.png"], "one picture"),
        (["plan"], "images"),
        (["plan", "a.png", "--force"], "--draw"),
        (["plan", "a.png", "--draw", "a.jpg"], ".png"),
        (["plan", "a.png", "--colour"], "--colour"),
    ],
)
def test_wrong_use_is_one_line_and_two(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(arguments)
    captured = capsys.readouterr()
    one_line(Done(code, captured.out, captured.err), 2, words)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ask", "a.png", "-p", "x", "--seed", "1", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_error_nobody_thought_of_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_options: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(cli, "app", fail)
    assert cli.run([]) == 1
    assert capsys.readouterr().err == "magicvl: unexpected ZeroDivisionError: two lines; --debug shows where\n"


def test_help_and_version() -> None:
    shown = magicvl("--help")
    assert shown.code == 0 and "ask" in shown.out and "plan" in shown.out
    version = magicvl("--version")
    assert version.code == 0 and version.out.startswith("magicvl ")


def test_a_reader_that_leaves_is_no_error(tiny_bundle: Path, picture: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "plan", picture, "--model", tiny_bundle, "--no-predict"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


def test_ctrl_c_ends_an_answer_cleanly(tiny_bundle: Path, picture: Path) -> None:
    """The random model hardly ends its turn, so it is still answering when the signal comes."""
    # A shell may have started the tests with SIGINT ignored, which children inherit.
    restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{restore}; from magicvl.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "ask", *[picture] * 40, "-p", "x", "--model", tiny_bundle, "--max-tokens", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while "libmtmd" not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert err == b""
