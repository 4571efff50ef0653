"""Batches: what is read, what is refused, and that no finished row is lost or done twice, however a process ends."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magicvl import cli
from magicvl.ctrl_c import ctrl_c
from magicvl.edge.answer import Options
from magicvl.edge.batch import answer_row, answer_rows
from magicvl.edge.batch_output import Job, Output, Tally, make_job
from magicvl.edge.batch_progress import duration, progress_line
from magicvl.edge.batch_rows import Row, read_questions
from magicvl.edge.bundle import read_bundle
from magicvl.edge.engine import Engine
from magicvl.errors import MagicVLError, UsageError

Make = Callable[..., Image.Image]
JOB = Job("input", "what?", {"max_tokens": 4, "seed": None}, "bundle")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, make_picture: Make) -> Path:
    """A folder with three small pictures. Do not write into it."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        make_picture(60 + 40 * number, 50, number).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine(tiny_bundle, threads=1) as loaded:
        yield loaded


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def untimed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what may differ from run to run: times, and what an earlier row left in a cache."""
    return [
        {name: value for name, value in row.items() if name not in ("timings_ms", "usage")} | {"n": tokens(row)}
        for row in found
    ]


def tokens(row: dict[str, Any]) -> list[int]:
    return [row["usage"][name] for name in ("prompt_tokens", "completion_tokens")] if "usage" in row else []


# Reading


def test_a_row_takes_its_own_options_and_the_rest_from_the_call(tmp_path: Path) -> None:
    file = write(
        tmp_path / "in.jsonl",
        {"id": "a", "image": "sub/x.png", "prompt": "own", "max_tokens": 7, "budget": 9, "system": "short"},
        "",
        {"images": ["/abs/y.png", "z.png"], "id": None, "meta": {"label": [1, None]}},
    )
    first, second = read_questions(file, Options(max_tokens=3, temperature=0.5, seed=1), "given").rows
    assert first == Row(
        1, "a", (tmp_path / "sub/x.png",), "own", Options(7, 9, temperature=0.5, seed=1), system="short"
    )
    assert (second.number, second.id, second.prompt) == (3, None, "given")
    assert second.pictures == (Path("/abs/y.png"), tmp_path / "z.png")
    assert second.options == Options(max_tokens=3, temperature=0.5, seed=1)
    assert second.meta == {"label": [1, None]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"image": "a.png"', "not JSON (Expecting ',' delimiter at column 18)"),
        ("[1]", "not a JSON object"),
        ('{"image": "a.png", "meta": NaN}', "NaN is not JSON"),
        ('{"image": "a.png", "prompt": "\\ud800"}', "surrogate"),
        ('{"prompt": "x"}', "no picture"),
        ('{"images": []}', "no picture"),
        ('{"images": ["a.png", 3]}', "path of a picture"),
        ('{"image": "a.png", "images": ["b.png"]}', "both image and images"),
        ('{"image": ["a.png"]}', 'image is ["a.png"], it must be a text'),
        ('{"image": "a.png", "max_token": 3}', "unknown field 'max_token': a row has id, image"),
        ('{"image": "a.png", "max_tokens": 0}', "max tokens 0: it must be at least 1"),
        ('{"image": "a.png", "max_tokens": true}', "max_tokens is true, it must be a whole number"),
        ('{"image": "a.png", "budget": 1.5}', "budget is 1.5"),
        ('{"image": "a.png", "id": [1]}', "id is [1], it must be a text or a whole number"),
        ('{"image": "a.png", "id": "first"}', "the id 'first' is that of line 1 already"),
        ("[" * 100_000, "not a question"),
    ],
)
def test_a_bad_line_is_a_row_with_its_reason(tmp_path: Path, line: str, words: str) -> None:
    file = write(tmp_path / "in.jsonl", {"id": "first", "image": "a.png"}, line, {"image": "b.png"})
    good, bad, other = read_questions(file, Options(), "x").rows
    assert good.error is None and other.error is None
    assert bad.number == 2 and bad.error is not None and words in bad.error


def test_bytes_that_are_no_text_and_a_missing_prompt_are_rows_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"image": "a.png", "prompt": "x"}\r\n{"image": "\xff.png"}\n{"image": "a.png"}')
    good, bad, silent = read_questions(file, Options()).rows
    assert good.error is None
    assert "not UTF-8 at byte 12" in str(bad.error)
    assert "no prompt" in str(silent.error)


@pytest.mark.parametrize("content", [None, "", " \n\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "in.jsonl").write_text(content)
    with pytest.raises(UsageError, match=r"in\.jsonl: (cannot be read|no row)"):
        read_questions(tmp_path / "in.jsonl", Options(), "x")


# Asking


def test_answers_are_the_engine_s_own(engine: Engine, pictures: Path) -> None:
    rows = [
        Row(1, "a", (pictures / "0.png",), "what?", Options(max_tokens=5)),
        Row(2, None, (pictures / "1.png", pictures / "0.png"), "which?", Options(max_tokens=3, budget=2), meta=[0]),
    ]
    first, second = answer_rows(engine, rows)
    wanted = engine.answer(pictures / "0.png", "what?", max_tokens=5).to_json()
    assert list(first) == ["row", "id", *wanted]
    assert untimed([first]) == untimed([{"row": 1, "id": "a"} | wanted])
    wanted = engine.answer([pictures / "1.png", pictures / "0.png"], "which?", max_tokens=3, budget=2).to_json()
    assert untimed([second]) == untimed([{"row": 2, "meta": [0]} | wanted])


def test_what_goes_wrong_in_a_row_is_its_error(
    tiny_bundle: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Row(1, "a", (pictures / "2.png",), "what?", Options(max_tokens=2))
    with Engine(tiny_bundle, threads=1, context=48) as small:
        assert answer_row(small, replace(good, pictures=(pictures / "no.png",)))["error"].endswith("no such file")
        long = answer_row(small, replace(good, prompt="long " * 50))
        assert long.keys() == {"row", "id", "error"} and "the context holds 48" in long["error"]
        assert "only user and assistant" in answer_row(small, replace(good, system="be short"))["error"]
        assert answer_row(small, replace(good, error="two\nlines")) == {"row": 1, "id": "a", "error": "two lines"}
        assert "answer" in answer_row(small, good)
        monkeypatch.setattr(small, "start", lambda *_a, **_o: 1 / 0)
        assert answer_row(small, good)["error"] == "unexpected ZeroDivisionError: division by zero"


# Writing


def answered(number: int, reason: str = "stop") -> dict[str, Any]:
    return {"row": number, "answer": "Straße 東京", "finish_reason": reason}


def test_a_row_is_on_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def record(file: int) -> None:
        fsync(file)
        synced.append((tmp_path / "out.jsonl").stat().st_size)

    with Output(tmp_path / "out.jsonl", JOB, {1, 2, 3}) as output:
        monkeypatch.setattr(os, "fsync", record)
        output.add(answered(1))
        output.add({"row": 3, "error": "bad"})
        output.add(answered(2, "length"))
        assert output.tally == Tally(answered=2, failed=1, cut_short=1)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert synced == [len(b"".join(lines[:count])) for count in (1, 2, 3)]
    with Output(tmp_path / "out.jsonl", JOB, {1, 2, 3}) as output:
        assert (output.done, output.tally, output.mended) == ({1, 2, 3}, Tally(2, 1, 1), 0)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_last_line_cut_short_is_taken_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, JOB, {1, 2}) as output:
        output.add(answered(1))
        whole = path.stat().st_size
        output.add(answered(2))
    os.truncate(path, path.stat().st_size - cut)
    with Output(path, JOB, {1, 2}) as output:
        assert output.done == {1} and output.mended > 0
        assert path.stat().st_size == whole
        output.add(answered(2))
    assert records(path) == [answered(1), answered(2)]


def test_failed_rows_are_kept_or_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, JOB, {1, 2, 3}) as output:
        for record in (answered(1), {"row": 2, "error": "bad"}, answered(3)):
            output.add(record)
    with Output(path, JOB, {1, 2, 3}) as output:
        assert output.done == {1, 2, 3}
    with Output(path, JOB, {1, 2, 3}, retry=True) as output:
        assert output.done == {1, 3} and output.tally == Tally(answered=2)
        output.add(answered(2))
    assert records(path) == [answered(1), answered(3), answered(2)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.job"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (replace(JOB, input="other"), "another job (input changed)"),
        (replace(JOB, bundle="other", prompt=None), "another job (prompt, bundle changed)"),
        (replace(JOB, options={"max_tokens": 5, "seed": None}), "another job (max_tokens changed)"),
        (replace(JOB, format=2), "another job (format changed)"),
    ],
)
def test_another_job_is_refused_and_touches_nothing(tmp_path: Path, job: Job, words: str) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, JOB, {1, 2}) as output:
        output.add(answered(1))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(UsageError) as refused:
        Output(path, job, {1, 2})
    assert words in str(refused.value) and "--force" in str(refused.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with Output(path, job, {1, 2}, force=True) as output:
        assert output.done == set()
    assert path.read_bytes() == b""


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("mine\n")
    with pytest.raises(UsageError, match="it is there already"):
        Output(path, JOB, {1})
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
    path.unlink()
    (tmp_path / "out.jsonl.job").write_text("mine\n")
    with pytest.raises(UsageError, match="no job of a batch"):
        Output(path, JOB, {1})
    assert (tmp_path / "out.jsonl.job").read_text() == "mine\n"
    with pytest.raises(UsageError, match="not a plain file"):
        Output(tmp_path, JOB, {1})
    with pytest.raises(UsageError, match="no such directory"):
        Output(tmp_path / "no" / "out.jsonl", JOB, {1})
    with pytest.raises(MagicVLError, match=r"cannot be written \(File name too long\)"):
        Output(tmp_path / ("x" * 300), JOB, {1})


@pytest.mark.parametrize("line", ["words", "{}", '{"row": 9, "error": "x"}', '{"row": 1, "error": "x"}', "\0\0\0"])
def test_a_line_that_is_no_row_of_the_job_is_said(tmp_path: Path, line: str) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path, JOB, {1, 2}) as output:
        output.add(answered(1))
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(MagicVLError, match="line 2 is no row of this job"):
        Output(path, JOB, {1, 2})
    with Output(path, JOB, {1, 2}, force=True) as output:
        assert not output.done


def test_a_crash_between_job_and_output_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.job").write_bytes(b"")
    with Output(path, JOB, {1}) as output:
        output.add(answered(1))
    path.unlink()
    with Output(path, replace(JOB, input="other"), {1}) as output:
        assert not output.done


def test_a_link_to_an_output_is_the_same_output(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    with Output(tmp_path / "out.jsonl", JOB, {1}), pytest.raises(MagicVLError, match="another process is writing"):
        Output(tmp_path / "link.jsonl", JOB, {1})


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Output(path, JOB, {1, 2}) as output:
        output.add(answered(1))
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        try:
            with pytest.raises(MagicVLError, match=r"row 2 cannot be written \(File too large\); the 1 rows"):
                output.add(answered(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.stat().st_size == size
        output.add(answered(2))
    assert records(path) == [answered(1), answered(2)]


def test_a_job_knows_its_bundle_but_not_its_reports(tmp_path: Path, tiny_bundle: Path) -> None:
    questions = read_questions(write(tmp_path / "in.jsonl", {"image": "a.png"}), Options(), "x")
    lock = read_bundle(tiny_bundle).lock
    job = make_job(questions, "x", Options(), lock)
    assert job == make_job(questions, "x", Options(), replace(lock, parity={"verdict": "fine"}))
    changed = replace(lock.files["llm"], sha256="0" * 64)
    other = make_job(questions, "x", Options(seed=1, temperature=1), replace(lock, files=lock.files | {"llm": changed}))
    assert job.differences(other) == ["seed", "temperature", "bundle"]


# Showing


def test_the_progress_line_tells_rate_and_time_left() -> None:
    assert progress_line(Tally(), 200, 0, 0) == "[....................] 0 of 200 rows"
    assert progress_line(Tally(45, 5), 200, 10, 20.0, "tile 2 of 9") == (
        "[#####...............] 50 of 200 rows, 5 failed, 2.0 rows/s, 1 min 15 s left, tile 2 of 9"
    )
    assert "6.0 rows/min, 15 min 00 s left" in progress_line(Tally(10), 100, 0, 100.0)
    assert "36.0 rows/h, 2 h 30 min left" in progress_line(Tally(10), 100, 0, 1000.0)
    assert (duration(0.4), duration(59.6), duration(3599.6)) == ("0 s", "1 min 00 s", "1 h 00 min")


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--batch", "in.jsonl", "-o", "out.jsonl"], "named in its file"),
        (["--batch", "in.jsonl"], "--output"),
        (["a.png", "-p", "x", "-o", "out.jsonl"], "--output has no effect without --batch"),
        (["a.png", "-p", "x", "--retry"], "--retry has no effect without --batch"),
        (["a.png", "-p", "x", "--force"], "--force has no effect without --batch"),
        (["a.png", "-p", "x", "--engine", "ray"], "--engine has no effect without --batch"),
        (["--batch", "in.jsonl", "-o", "out.jsonl", "--force", "--retry"], "--retry has no effect"),
        (["--batch", "in.jsonl", "-o", "out.jsonl", "--engine", "sun"], "local, ray"),
        (["--batch", "in.jsonl", "-o", "out.jsonl", "--workers", "2"], "--workers has no effect without"),
        (["--batch", "in.jsonl", "-o", "out.jsonl", "--engine", "ray", "--workers", "0"], "at least 1"),
        (["--batch", "in.jsonl", "-o", "in.jsonl"], "another -o"),
        (["--batch", "out.jsonl.job", "-o", "out.jsonl"], "another -o"),
    ],
)
def test_wrong_use_is_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.jsonl", "out.jsonl.job"):
        write(tmp_path / name, {"image": "a.png"})
    code, out, err = run(capsys, "ask", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err, err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl.job"]


def test_bad_rows_are_reported_and_the_others_answered(
    tiny_bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        tmp_path / "in.jsonl",
        {"id": "a", "image": str(pictures / "0.png")},
        '{"image": ',
        {"id": "b", "image": "later.png"},
        {"image": str(pictures / "1.png"), "prompt": "own"},
    )
    call = ["ask", "--batch", file, "-o", tmp_path / "out.jsonl", "--model", tiny_bundle, "--threads", 1]
    call += ["--max-tokens", 3, "-p", "what?"]
    code, out, err = run(capsys, *call)
    found = records(tmp_path / "out.jsonl")
    assert [row["row"] for row in found] == [1, 2, 3, 4]
    assert ["error" in row for row in found] == [False, True, True, False]
    cut = sum(row.get("finish_reason") == "length" for row in found)
    shown = f" ({cut} cut short by a limit)" if cut else ""
    assert (code, out) == (1, f"{tmp_path / 'out.jsonl'}: 4 rows, 2 answered{shown}, 2 failed\n")
    assert "magicvl: row 2 failed: not a question: not JSON" in err
    assert "magicvl: row 3 (b) failed: " in err and "later.png: no such file" in err

    # The same again has nothing to do; --retry asks what failed, and what was answered stays as it is.
    (tmp_path / "later.png").write_bytes((pictures / "2.png").read_bytes())
    again = run(capsys, *call)
    assert again[:2] == (code, out) and "--retry" in again[2]
    assert records(tmp_path / "out.jsonl") == found
    code, out, err = run(capsys, *call, "--retry", "--json")
    summary = json.loads(out)
    assert (code, summary["rows"], summary["answered"], summary["failed"]) == (1, 4, 3, 1)
    now = records(tmp_path / "out.jsonl")
    assert now[:2] == [found[0], found[3]] and [row["row"] for row in now[2:]] == [2, 3]

    # Another question is another job.
    code, out, err = run(capsys, *call[:-1], "why?")
    assert (code, out) == (2, "") and "prompt changed" in err
    file.write_text(file.read_text() + "\n")
    code, out, err = run(capsys, *call)
    assert (code, out) == (2, "") and "input changed" in err
    assert records(tmp_path / "out.jsonl") == now


def test_a_grammar_holds_for_every_row(
    tiny_bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"image": str(pictures / f"{i}.png"), "prompt": f"{i}?"} for i in range(3)]
    call = ["ask", "--batch", write(tmp_path / "in.jsonl", *rows), "-o", tmp_path / "out.jsonl"]
    call += ["--model", tiny_bundle, "--threads", 1]
    code, _, err = run(capsys, *call, "--choices", "yes", "--choices", "no")
    assert code == 0, err
    assert {row["answer"] for row in records(tmp_path / "out.jsonl")} <= {"yes", "no"}
    code, _, err = run(capsys, *call, "--choices", "yes", "--choices", "maybe")
    assert code == 2 and "choices changed" in err


def test_ctrl_c_asks_to_stop_and_pressed_again_stops(capfd: pytest.CaptureFixture[str]) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with ctrl_c("stopping after this row") as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped() and "stopping after this row" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler


def start(*arguments: object) -> subprocess.Popen[str]:
    # A shell may have started the tests with SIGINT ignored, which children inherit.
    restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{restore}; from magicvl.cli import main; main()"]
    return subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_rows(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_and_stopped_and_started_again_is_one_whole_run(
    tiny_bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": f"r{i}", "image": str(pictures / f"{i % 3}.png"), "prompt": f"question {i}"} for i in range(40)]
    rows[20]["image"] = "nowhere.png"
    file = write(tmp_path / "in.jsonl", *rows)
    path = tmp_path / "out.jsonl"
    common = ["--model", tiny_bundle, "--threads", 1, "--max-tokens", 8]
    call = ["ask", "--batch", file, "-o", path, *common]

    killed = start(*call)
    wait_for_rows(path, 3, killed)
    # Stopped, so that it cannot be done before the other one is refused.
    killed.send_signal(signal.SIGSTOP)
    code, out, err = run(capsys, *call)
    assert (code, out) == (1, "") and "another process is writing it" in err
    killed.kill()
    killed.communicate(timeout=60)
    first = records(path)
    assert 3 <= len(first) < 40

    stopped = start(*call)
    wait_for_rows(path, len(first) + 3, stopped)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=60)
    second = records(path)
    assert (stopped.returncode, out) == (130, ""), err
    assert f"{len(first)} of 40 rows are there already" in err
    assert "stopping after this row" in err
    assert f"stopped after {len(second)} of 40 rows; the same command goes on from there" in err
    assert second[: len(first)] == first and len(second) < 40

    code, out, err = run(capsys, *call)
    assert code == 1 and ", 1 failed" in out
    whole = records(path)
    assert whole[: len(second)] == second
    assert [row["row"] for row in whole] == list(range(1, 41))

    run(capsys, "ask", "--batch", file, "-o", tmp_path / "at once.jsonl", *common)
    assert untimed(whole) == untimed(records(tmp_path / "at once.jsonl"))
