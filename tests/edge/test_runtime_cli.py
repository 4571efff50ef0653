"""`--runtime` of ask, chat and batches."""

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from magicvl.cli import run
from magicvl.edge.variant import ServerProgram


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (500, 420), "navy").save(path)
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """What `ask --json` says, but for the time."""
    assert run(["ask", *arguments, "--json", "--threads", "1"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    del found["timings_ms"]
    return found


@pytest.mark.usefixtures("standin_program")
def test_ask_says_the_same_with_either(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--choices", "red", "--choices", "blue"], ["--budget", "60"]):
        ask = (str(picture), "-p", "What is this?", *more)
        one, other = (asked(capsys, *ask, "--runtime", name) for name in ("inproc", "server"))
        assert one.pop("usage") | {"cached_tokens": 0} == other.pop("usage") | {"cached_tokens": 0}  # type: ignore[operator]
        assert one == other


@pytest.mark.usefixtures("standin_program")
def test_a_batch_says_the_same_with_either(tmp_path: Path, picture: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"image": "{picture.name}", "prompt": "{what}"}}\n' for what in ("What?", "Where?")))
    said = []
    for name in ("inproc", "server"):
        output = tmp_path / f"{name}.jsonl"
        assert run(["ask", "--batch", str(rows), "-o", str(output), "--threads", "1", "--runtime", name]) == 0
        said.append([json.loads(line)["answer"] for line in output.read_text().splitlines()])
    assert said[0] == said[1]
    assert len(said[0]) == 2


@pytest.mark.usefixtures("standin_program")
def test_a_chat_goes_on_from_its_file_with_either(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said = []
    for name in ("inproc", "server"):
        talk = tmp_path / f"{name}.magicvl"
        lines = []
        for words, shown in (("What is this?", [str(picture)]), ("And what colour?", [])):
            monkeypatch.setattr(sys, "stdin", io.StringIO(f"{words}\n"))
            assert run(["chat", *shown, "--session", str(talk), "-q", "--threads", "1", "--runtime", name]) == 0
            lines.append(capsys.readouterr().out)
        said.append(lines)
    assert said[0] == said[1]
    assert all(said[0])


@pytest.mark.usefixtures("standin_program")
def test_the_cache_of_the_environment_is_for_what_can_use_it(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGICVL_CACHE", str(tmp_path / "tiles"))
    answers = []
    for name, used in (("server", False), ("inproc", True)):
        answers.append(asked(capsys, str(picture), "-p", "What is this?", "--runtime", name)["answer"])
        assert (tmp_path / "tiles").exists() is used
    assert answers[0] == answers[1]


def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str], standin_program: ServerProgram
) -> None:
    assert run(["ask", str(picture), "-p", "?", "--runtime", "gpu"]) == 2
    assert "there are auto, inproc, server" in capsys.readouterr().err
    assert run(["ask", str(picture), "-p", "?", "--runtime", "server", "--cache", str(tmp_path)]) == 2
    assert "llama-server keeps no tiles" in capsys.readouterr().err
    batch = ["ask", "--batch", str(picture), "-o", str(tmp_path / "o"), "-p", "?", "--engine", "ray"]
    assert run([*batch, "--runtime", "server"]) == 2
    assert "--runtime server has no effect with --engine ray" in capsys.readouterr().err
