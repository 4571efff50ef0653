"""What a line of the chat means, and what the tabulator offers for it."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicvl.chat_completion import completions
from magicvl.chat_editor import MOST_LINES, History
from magicvl.chat_lines import FORMS, Command, help_text, parse, split
from magicvl.errors import UsageError


@given(st.text(alphabet="ab \t'\"\\~/é\u202f", max_size=20))
def test_words_are_those_of_a_shell(line: str) -> None:
    words = split(line)
    try:
        expected = shlex.split(line)
    except ValueError:
        assert not words[-1].whole
    else:
        assert [word.text for word in words] == expected
        assert all(word.whole for word in words)
        assert all(shlex.split(line[word.start : word.end]) == [word.text] for word in words)


def test_a_home_directory_is_put_in_unless_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert parse("/image ~/'my cat.png' '~/b' a~") == Command("image", ("/home/me/my cat.png", "~/b", "a~"))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", None),
        ("  \t", None),
        ("What is this? ", "What is this?"),
        (" /usr/bin is what?", "/usr/bin is what?"),
        ("/quit ", Command("quit")),
        ('/image a\\ b.png "c d"', Command("image", ("a b.png", "c d"))),
    ],
)
def test_a_line_is_words_or_a_command(line: str, meant: object) -> None:
    assert parse(line) == meant


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/usr/bin is what?", "/usr/bin: no such command"),
        ("/", "/: no such command"),
        ("/image", "takes PICTURE..., 0 given"),
        ("/load a b", "takes FILE, 2 given"),
        ("/quit now", "takes no arguments, 1 given"),
        ("/image it's.png", "a quote is not closed"),
        ("/save a\\", "a quote is not closed"),
    ],
)
def test_a_command_that_is_none_is_one_line(line: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(line)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_help_names_every_command() -> None:
    lines = help_text().splitlines()
    assert [line.split()[0] for line in lines] == [f"/{name}" for name in FORMS]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("my cat.PNG", "map.jpg", "notes.txt", ".hidden.png", "bad\x1b.png"):
        (tmp_path / name).touch()
    (tmp_path / "more pictures").mkdir()
    (tmp_path / "more pictures" / "x.webp").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("/im", ["/image ", "/images"]),
        ("/qu", ["/quiet", "/quit"]),
        ("words /im", []),
        ("/quit ", []),
        ("/nothing ", []),
        ("/image ", ["/image map.jpg", "/image 'more pictures/'", "/image 'my cat.PNG'"]),
        ("/image m", ["/image map.jpg", "/image 'more pictures/'", "/image 'my cat.PNG'"]),
        ("/image a.png 'my", ["/image a.png 'my cat.PNG'"]),
        ("/image my\\ c", ["/image 'my cat.PNG'"]),
        ("/image 'more pictures/'", ["/image 'more pictures/x.webp'"]),
        ("/image ~/m", ["/image ~/map.jpg", "/image ~/'more pictures/'", "/image ~/'my cat.PNG'"]),
        ("/image .h", ["/image .hidden.png"]),
        ("/image nowhere/", []),
        ("/image a\0/", []),
        ("/load n", ["/load notes.txt"]),
    ],
)
def test_what_is_offered(folder: Path, line: str, offered: list[str]) -> None:
    made = [line[: each.start] + each.text for each in completions(line)]
    assert made == offered


def test_a_name_that_is_offered_is_found(folder: Path) -> None:
    for each in completions("/image ~/"):
        command = parse("/image " + each.text)
        assert isinstance(command, Command) and Path(command.arguments[0]).exists()


def test_lines_are_remembered_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "chat_history"
    first = History(path)
    for line in ("one", "one", " ", "two\nlines", "three"):
        first.add(line)
    assert History(path).lines == ["one", "two\nlines", "three"]
    assert path.stat().st_mode & 0o077 == 0
    path.write_text('"one"\nno JSON\n[1]\n' + "".join(f'"{number}"\n' for number in range(3 * MOST_LINES)))
    assert History(path).lines == [str(number) for number in range(2 * MOST_LINES, 3 * MOST_LINES)]
    assert len(path.read_text().splitlines()) == MOST_LINES


def test_without_a_place_lines_are_remembered_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "chat_history")
    history.add("one")
    assert history.lines == ["one"]
