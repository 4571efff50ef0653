"""The real chat in a real process: through pipes, and on a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from magicvl import DEFAULT_BUNDLE, chat_command
from magicvl.chat_command import Chat, ChatCall, Screen, shown
from magicvl.edge import llama
from magicvl.edge.answer import Options
from magicvl.edge.engine import Engine

Make = Callable[[int, int], Image.Image]
DEMO = DEFAULT_BUNDLE / "demo.png"
# A shell may have started the tests with SIGINT ignored, which children inherit.
START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
MAIN = "from magicvl.cli import main; main()"
WITHOUT_TOOLKIT = "import sys; sys.modules['prompt_toolkit'] = None"


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MAGICVL_CACHE", raising=False)
    # This terminal does not say where its cursor is.
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    monkeypatch.setenv("TERM", "xterm")


def piped(lines: str | bytes, *arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "magicvl", "chat", "--threads", "1", *map(str, arguments)],
        input=lines.encode() if isinstance(lines, str) else lines,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess((), done.returncode, done.stdout.decode(), done.stderr.decode())


def test_lines_of_a_pipe_are_answered_as_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "talk"
    questions = ["What is in the picture?", "How many stars are there?", "What colour is the background?"]
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        session = engine.session()
        answers = [session.ask(question, [DEMO] if number == 0 else []) for number, question in enumerate(questions)]
    first = piped("\n".join(questions[:2]), DEMO, "--session", path, "--quiet")
    assert (first.returncode, first.stdout.splitlines()) == (0, answers[:2])
    assert first.stderr.count("\n") == 1 and "shown with your next words" in first.stderr
    second = piped(f"{questions[2]}\n/history\n/quit\nnever asked\n", "--session", path)
    said = [answers[2]]
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        said += [f"> {'[192 x 192 px] ' if number == 0 else ''}{question}", answer]
    assert second.stdout.splitlines() == said
    note, cost = second.stderr.splitlines()
    assert note == f"magicvl: going on with {path}: 2 turns, 1 picture"
    read, held = re.findall(r"read (\d+) tokens, held (\d+); first word after", cost)[0]
    assert 0 < int(read) < 15 and int(held) > 36


def demo_answer(question: str) -> str:
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        return engine.ask(DEMO, question)


def test_a_bad_line_is_one_line_and_the_conversation_goes_on(tmp_path: Path) -> None:
    bad, long = tmp_path / "bad.png", "x" * 300
    bad.write_bytes(DEMO.read_bytes()[:2000])
    lines = [
        "/nothing",
        f"/image {bad}",
        f"/image {long}",
        f"/image {DEMO} '{DEMO}'",
        "x" * 20000,
        "/images",
        "/drop",
        f"/image {DEMO}",
        "How many stars are there?",
        f"/save {bad}",
        f"/save {tmp_path}/new",
        f"/save {tmp_path}/new",
        f"/save --force {bad}",
        f"/load {DEMO}",
        "/clear",
        "/history",
        f"/load {bad}",
        "/history",
    ]
    done = piped("\n".join(lines), "--quiet")
    one = f"{DEMO}: 192 x 192 px, 36 visual tokens in 1 tile"
    answer = demo_answer("How many stars are there?")
    said = [one, one, answer, "> [192 x 192 px] How many stars are there?", answer]
    assert done.stdout.splitlines() == said
    assert done.returncode == 1
    expected = [
        "/nothing: no such command",
        "bad.png: damaged or cut short",
        "x: it can't be read (File name too long)",
        f"{one}; shown",
        f"{one}; shown",
        "the prompt takes",
        "took back 2 pictures",
        f"{one}; shown",
        "bad.png is there already",
        "saved",
        "saved",
        "saved",
        "not a conversation of magicvl",
        "a new conversation",
        "nothing was said yet",
        "going on with",
    ]
    said = done.stderr.splitlines()
    assert len(said) == len(expected), said
    for line, words in zip(said, expected, strict=True):
        assert line.startswith("magicvl: ") and words in line, (line, words)


def test_bytes_that_are_no_text_harm_nothing(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(DEMO.read_bytes())
    done = piped(b"/image " + os.fsencode(path) + b"\nHow many stars\xff are there?\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1


def talk_to(engine: Engine, call: ChatCall) -> tuple[Chat, list[str]]:
    """A chat through pipes, and what it notes."""
    notes: list[str] = []
    return Chat(call, engine, Screen(False, notes.append), None), notes


def test_the_oldest_turn_goes_by_choice_and_it_is_said() -> None:
    with Engine(DEFAULT_BUNDLE, threads=1, context=200) as engine:
        talk, notes = talk_to(engine, ChatCall((), Options(max_tokens=8), overflow="drop", quiet=True))
        for _ in range(3):
            assert talk.take("x " * 50, lambda: False)
    assert not talk.failed
    assert "left out the oldest turn: the context of 200 tokens is full" in notes


def state_in(path: Path) -> bool:
    with zipfile.ZipFile(path) as file:
        return "state.bin" in file.namelist()


def test_large_keys_and_values_are_written_when_the_chat_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other, copy = tmp_path / "talk", tmp_path / "other", tmp_path / "copy"
    monkeypatch.setattr(chat_command, "AUTOSAVE_STATE", 1000)
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        engine.save_session(engine.session(), other)
        talk, notes = talk_to(engine, ChatCall([DEMO], Options(), session=path, quiet=True))
        for leave in ("/clear", f"/load {other}"):
            talk.take("How many stars are there?", lambda: False)
            assert not state_in(path)
            talk.take(f"/save {copy}", lambda: False)
            assert state_in(copy) and not state_in(path)
            talk.take(leave, lambda: False)
            assert state_in(path)
            # What is left is not written over by what comes after it.
            before = path.read_bytes()
            talk.keep_state()
            assert path.read_bytes() == before
        assert notes[-1] == f"from now on {other} is written after every answer"
        talk.take("What colour is the background?", lambda: False)
        assert not state_in(other)
        talk.keep_state()
        assert state_in(other) and path.read_bytes() == before
        monkeypatch.setattr(chat_command, "AUTOSAVE_STATE", 10**8)
        talk.take("What colour is the background?", lambda: False)
        assert state_in(other)
    assert not talk.failed


def test_a_killed_chat_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "talk"
    small = "import magicvl.chat_command as c; c.AUTOSAVE_STATE = 0"
    command = [sys.executable, "-c", f"{small}\n{MAIN}", "chat", DEMO, "--session", path, "--threads", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"How many stars are there?\n")
        process.stdin.flush()
        answer = process.stdout.readline().decode().rstrip()
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert not state_in(path)
    done = piped("/history\n", "--session", path, "--quiet")
    assert done.stdout.splitlines() == ["> [192 x 192 px] How many stars are there?", answer]
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        expected = engine.session()
        expected.ask("How many stars are there?", DEMO)
        said = expected.ask("What colour is the background?")
        engine.sequences.forget()
        assert engine.open_session(path).ask("What colour is the background?") == said


def test_a_line_s_error_shows_its_traceback_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        for debug in (False, True):
            talk, notes = talk_to(engine, ChatCall((), Options(), debug=debug))
            assert talk.take("/image nowhere.png", lambda: False)
            assert notes == ["nowhere.png: no such file"]
            assert ("Traceback" in capsys.readouterr().err) == debug


def test_an_answer_is_stopped_between_two_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "BATCH", 32)
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        talk, notes = talk_to(engine, ChatCall((), Options(max_tokens=4)))
        asked: list[bool] = []

        def stopped() -> bool:
            asked.append(True)
            return len(asked) > 2

        talk.take("x " * 150, stopped)
        assert notes[-1] == "stopped: this turn is not kept" and len(asked) == 3
        talk.take("x " * 150, lambda: False)
        held = re.search(r"held (\d+)", notes[-1])
        assert held is not None and int(held[1]) == 96


def test_an_answer_is_stopped_between_two_tiles() -> None:
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        talk, notes = talk_to(engine, ChatCall([DEMO], Options(), quiet=True))
        asked: list[bool] = []

        def stopped() -> bool:
            asked.append(True)
            return len(asked) > 1

        talk.take("What?", stopped)
        assert notes[-1].startswith("stopped: this turn is not kept; its pictures wait")
        talk.take("/history", stopped)
        assert notes[-1] == "nothing was said yet"
        talk.take("What?", lambda: False)
        talk.take("/images", stopped)
    assert not talk.failed and notes[-1].startswith("no pictures are waiting")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.png"], "no such file"),
        (["--session", "nowhere/talk"], "there is no directory nowhere"),
        (["--session", "x" * 300], "no file can have this name (File name too long)"),
        (["--cache-size", "5"], "no effect without --cache"),
        (["--seed", "1"], "no effect at temperature 0"),
        (["--overflow", "maybe"], "overflow"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = piped("", *arguments)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert done.stderr.startswith("magicvl: ") and done.stderr.count("\n") == 1 and words in done.stderr


def test_what_was_seen_is_kept_for_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "seen"
    assert piped("What?\n", DEMO, "--cache", folder, "--cache-size", 5).returncode == 0
    expected = demo_answer("How many stars are there?")
    monkeypatch.setattr("magicvl.edge.llama.Vision.encode", lambda *_: pytest.fail("looked again"))
    import magicvl

    with magicvl.load(threads=1, cache=folder) as engine:
        assert engine.ask(DEMO, "How many stars are there?") == expected
    asked = subprocess.run(
        [sys.executable, "-m", "magicvl", "ask", DEMO, "-p", "What?", "--threads", "1"],
        env=os.environ | {"MAGICVL_CACHE": str(tmp_path / "other")},
        timeout=120,
        check=True,
        capture_output=True,
    )
    assert asked.stdout and (tmp_path / "other" / "cache.db").exists()


def test_a_cache_size_without_a_cache_is_refused() -> None:
    import magicvl

    with pytest.raises(magicvl.UsageError, match="no effect without a folder"):
        magicvl.load(cache_bytes=5)


def test_no_answer_steers_a_terminal() -> None:
    assert shown("a\x1b[2J\x07\tb\n\x9b\x7fé\r") == "a\ufffd[2J\ufffd\tb\n\ufffd\ufffdé\ufffd"


class Terminal:
    """The chat on a terminal of its own."""

    def __init__(self, *arguments: object, before: str = START) -> None:
        self.seen = ""
        command = [sys.executable, "-c", f"{before}\n{MAIN}", "chat", "--threads", "1", *map(str, arguments)]
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))

    def wait_for(self, words: str) -> str:
        """Reads until the words come; gives what was read up to and with them."""
        deadline = time.monotonic() + 60
        while words not in self.seen:
            assert time.monotonic() < deadline, (words, self.seen)
            ready, _, _ = select.select([self.file], [], [], 1)
            if ready:
                self.seen += self._read()
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def type(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def press_ctrl_c(self) -> None:
        # input() loses one that comes between its prompt and its waiting for a key.
        time.sleep(0.3)
        self.type("\x03")

    def ended(self) -> int:
        """Reads to the end; the exit code."""
        while piece := self._read():
            self.seen += piece
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self.file)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def _read(self) -> str:
        try:
            return os.read(self.file, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            return ""


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: object, before: str = START) -> Terminal:
        opened.append(Terminal(*arguments, before=before))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


EDITORS = pytest.mark.parametrize("before", [START, f"{START}; {WITHOUT_TOOLKIT}"], ids=["toolkit", "plain"])


@EDITORS
def test_a_conversation_on_a_terminal(terminal: Callable[..., Terminal], tmp_path: Path, before: str) -> None:
    (tmp_path / "my picture.png").write_bytes(DEMO.read_bytes())
    with Engine(DEFAULT_BUNDLE, threads=1) as engine:
        session = engine.session()
        first = session.ask("How many stars are there?", DEMO)
        again = session.ask("How many stars are there?")
    talk = terminal(before=before)
    talk.wait_for("Ctrl-D leaves")
    talk.wait_for(">")
    talk.type(f"/image {tmp_path}/my")
    # prompt_toolkit takes the only completion at the tabulator, and readline does so too.
    time.sleep(0.5)
    talk.type("\t")
    talk.wait_for("picture.png'")
    talk.type("\r")
    talk.wait_for("shown with your next words")
    talk.wait_for(">")
    talk.type("How many stars are there?\r")
    talk.wait_for(f"{first}\r\n")
    talk.wait_for("% of the context")
    talk.wait_for(">")
    talk.type("/quiet\r")
    talk.wait_for(">")
    talk.type("\x1b[A\x1b[A\r")
    talk.wait_for(f"{again}\r\n")
    talk.wait_for(">")
    talk.type("\x04")
    assert talk.ended() == 0
    assert "Traceback" not in talk.seen and "of the context" not in talk.seen
    assert "How many stars" in (tmp_path / "state" / "magicvl" / "chat_history").read_text()


@EDITORS
def test_ctrl_c_stops_an_answer_and_then_leaves(
    terminal: Callable[..., Terminal], tiny_bundle: Path, make_picture: Make, tmp_path: Path, before: str
) -> None:
    """The random model hardly ends its turn, so it is still answering when the key is pressed."""
    picture, path = tmp_path / "picture.png", tmp_path / "talk"
    make_picture(64, 64).save(picture)
    talk = terminal(picture, "--model", tiny_bundle, "--max-tokens", 4000, "--session", path, before=before)
    talk.wait_for(">")
    talk.type("what?\r")
    talk.wait_for("what?")
    time.sleep(0.7)
    talk.press_ctrl_c()
    talk.wait_for("stopped: this turn is not kept; its pictures wait for your next words")
    talk.wait_for(">")
    assert not path.exists()
    talk.type("/images\r")
    talk.wait_for("4 visual tokens in 1 tile")
    talk.wait_for(">")
    talk.type("half a line")
    talk.press_ctrl_c()
    talk.wait_for(">")
    talk.press_ctrl_c()
    talk.wait_for("Ctrl-C again leaves")
    talk.wait_for(">")
    talk.press_ctrl_c()
    assert talk.ended() == 0
    assert "Traceback" not in talk.seen
