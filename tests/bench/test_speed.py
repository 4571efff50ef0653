"""The speed bench measures what it says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from magicvl.bench.peers import Chat, Reply, Server, assistant, user
from magicvl.bench.pictures import png
from magicvl.bench.speed import CEILINGS, QUESTIONS, Aim
from magicvl.cli import run
from magicvl.edge.bundle import read_bundle
from magicvl.edge.noise import noise
from magicvl.errors import EngineError

PYTHON = os.environ.get("MAGICVL_OTHER_PYTHON", sys.executable)
OURS = ("first", "second", "ten tiles", "one tile changed", "ten questions", "ten pictures", "from disk")
PEERS = ("first", "second", "ten questions", "ten pictures")


@pytest.fixture(scope="module")
def printed(small_bundle: Path) -> list[str]:
    """What the command prints, line by line; measured once for all tests."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.delenv("MAGICVL_OTHER_PYTHON", raising=False)
        options = ["--width", "96", "--height", "64", "--rounds", "1", "--threads", "1"]
        assert run(["bench", "speed", str(small_bundle), *options]) == 0
    return out.getvalue().splitlines()


@pytest.fixture(scope="module")
def found(printed: list[str]) -> dict[str, Any]:
    """Its last line."""
    data: dict[str, Any] = json.loads(printed[-1])
    return data


def test_ceilings_come_first(printed: list[str]) -> None:
    assert printed[1] == "ceilings:"
    assert [line[2:28].strip() for line in printed[2:6]] == list(CEILINGS)
    assert any(line.endswith("reached: at most 0") for line in printed)


def test_every_case_is_measured(found: dict[str, Any]) -> None:
    assert tuple(cost["case"] for cost in found["ceilings"]) == CEILINGS
    assert {cost["case"] for cost in found["costs"]} == {*OURS, *(f"handler, {case}" for case in PEERS)}
    costs = (*found["ceilings"], *found["costs"])
    assert all(cost["cpu_s"] > 0 and cost["wall_s"] > 0 and cost["rounds"] == 1 for cost in costs)


def test_the_same_tokens_whoever_feeds_them(found: dict[str, Any]) -> None:
    tokens = {cost["case"]: cost["tokens"] for cost in (*found["ceilings"], *found["costs"])}
    assert tokens["first"] == tokens["bare, first"] == tokens["from disk"] > 6
    assert 0 < tokens["bare, second"] < len(QUESTIONS[1])
    assert tokens["ten pictures"] > 10 * 6
    # The handler enlarges a picture of six tokens to 64.
    assert tokens["handler, first"] > 64 > tokens["first"]


def test_a_folder_spares_a_new_process_every_tile(found: dict[str, Any]) -> None:
    assert found["encoded_from_disk"] == 0
    assert next(aim for aim in found["aims"] if "folder" in aim["name"])["met"]


def test_an_aim_is_met_within_its_bounds() -> None:
    assert Aim("x", 1.0, None, 1.03).met
    assert not Aim("x", 1.04, None, 1.03).met
    assert not Aim("x", 0.01, 0.085, 0.115).met
    assert Aim("x", 1.0, None, None).met is None


def test_noise_is_new_every_time() -> None:
    assert noise((40, 30), 1).tobytes() == noise((40, 30), 1).tobytes() != noise((40, 30), 2).tobytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--width", "0"), "each must be at least 1"),
        (("--totals", "0"), "each must be at least 1"),
        (("--llm-type", "Q8_0"), "--llm-type Q8_0 has no effect on a bundle"),
        (("magicvl-nano", "--llm-type", "Q3"), "--llm-type Q3: a shape is made in"),
    ],
)
def test_wrong_use_is_one_line(options: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "speed", *options, "--server-python", sys.executable]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert said in err


def test_an_interpreter_without_the_server_is_one_error(small_bundle: Path, tmp_path: Path) -> None:
    bundle = read_bundle(small_bundle)
    with pytest.raises(EngineError, match="cannot be run"):
        Server(bundle, 2048, 1, str(tmp_path / "python"))
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(EngineError, match=r"server ended \(exit code 3\): no such module"):
        Server(bundle, 2048, 1, str(fake))


@pytest.mark.slow
def test_the_server_keeps_what_it_read(small_bundle: Path) -> None:
    if subprocess.run([PYTHON, "-c", "import xllamacpp"], capture_output=True, check=False).returncode:
        pytest.skip("no xllamacpp: install it, or name an interpreter that has it in MAGICVL_OTHER_PYTHON")
    messages: list[Chat] = []
    replies: list[Reply] = []
    with Server(read_bundle(small_bundle), 2048, 1, PYTHON) as server:
        assert "xllamacpp" in server.about
        for i in range(2):
            messages.append(user(QUESTIONS[i], png(noise((96, 64), i))))
            replies.append(server.ask(messages))
            messages.append(assistant(replies[-1].text))
        with pytest.raises(EngineError):
            server.ask([{"role": "user", "content": [{"type": "nothing"}]}])
    # Two pictures of six tokens each, and the words around them.
    assert 12 < replies[0].prompt_tokens < replies[1].prompt_tokens
    assert all(reply.cpu_s > 0 for reply in replies)
