"""`magicvl ask` with --schema, --choices and --regex in a real process: the answer whole, or one line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magicvl import cli

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}, "word": {"type": "string", "maxLength": 3}},
    "required": ["n", "word"],
}


@pytest.fixture
def command(tiny_bundle: Path, tmp_path: Path, make_picture: Callable[[int, int], Image.Image]) -> list[str]:
    """Asks about a small picture."""
    make_picture(32, 32).save(tmp_path / "picture.png")
    return ["ask", str(tmp_path / "picture.png"), "-p", "x", "--model", str(tiny_bundle), "--threads", "1"]


@pytest.fixture
def schema(tmp_path: Path) -> str:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


def magicvl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "magicvl", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_schema_gives_json_and_json_gives_it_parsed(command: list[str], schema: str) -> None:
    plain = magicvl(*command, "--schema", schema)
    assert (plain.returncode, plain.stderr) == (0, "")
    answer = json.loads(plain.stdout)
    assert list(answer) == ["n", "word"] and 0 <= answer["n"] <= 9 and len(answer["word"]) <= 3
    told = json.loads(magicvl(*command, "--schema", schema, "--json").stdout)
    assert told["answer"] == answer and told["finish_reason"] == "stop"
    assert set(told) == {"answer", "finish_reason", "images", "usage", "timings_ms"}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_choices_and_an_expression(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *command, "--choices", "red one", "--choices", "blue")
    assert (code, err) == (0, "") and out in ("red one\n", "blue\n")
    code, out, _ = run(capsys, *command, "--choices", "red one", "--choices", "blue", "--json")
    assert code == 0 and json.loads(out)["answer"] in ("red one", "blue")
    code, out, err = run(capsys, *command, "--regex", r"\d{3}[a-c]+\n?x", "--temperature", "2", "--seed", "3")
    assert (code, err) == (0, "") and re.fullmatch(r"\d{3}[a-c]+\n?x\n", out)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_an_answer_cut_short_is_one_line_and_nothing_else(
    command: list[str], schema: str, capsys: pytest.CaptureFixture[str], json_too: list[str]
) -> None:
    code, out, err = run(capsys, *command, "--schema", schema, "--max-tokens", "4", *json_too)
    assert (code, out) == (1, "")
    assert err.startswith("magicvl: the answer reached max tokens 4 before it was complete by its schema: raise")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--regex", "("], "unterminated"),
        (["--regex", "(a{1000}){1000}"], "longer than 5,000"),
        (["--regex", "a", "--choices", "b"], "choices and regex at once"),
        (["--choices", "b", "--choices", "b"], "given twice"),
        (["--choices", ""], "not empty"),
        (["--schema", "nowhere.json"], "nowhere.json: No such file"),
        (["--schema", __file__], "no JSON"),
        (["--schema", "SCHEMA", "--regex", "a"], "schema and regex at once"),
    ],
)
def test_wrong_use_is_told_before_anything_is_loaded(
    schema: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [schema if each == "SCHEMA" else each for each in arguments]
    code, out, err = run(capsys, "ask", "no such picture.png", "-p", "x", *given)
    assert (code, out) == (2, "")
    assert err.startswith("magicvl: ") and err.count("\n") == 1 and words in err
