"""The comparison of the runtimes, run small, against a stand-in for llama-server."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from magicvl.cli import run

STANDIN = Path(__file__).parents[1] / "edge" / "server" / "standin_server.py"


def test_the_command_measures_both_and_compares_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(STANDIN)])} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("MAGICVL_SERVER", str(program))
    assert run(["bench", "runtimes", "--rounds", "1", "--width", "300", "--height", "200", "--threads", "1"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert lines[0].startswith("magicvl-nano, pictures of 300 x 200 px, 1 threads")
    assert found["equal"] == found["asked"] == 4
    assert found["builds"]["server"] == "llama-server b1-standin"
    costs = {(cost["runtime"], cost["case"]): cost for cost in found["costs"]}
    assert len(costs) == 4
    for cost in costs.values():
        assert cost["cpu_s"] > 0
        assert cost["first_token_s"] > 0
        held = cost["cached_tokens"] / cost["prompt_tokens"]
        assert (held > 0.5) == (cost["case"] == "second question")
    ratio = costs["server", "new picture"]["cpu_s"] / costs["inproc", "new picture"]["cpu_s"]
    assert found["ratios"]["new picture"]["cpu_s"] == pytest.approx(ratio)


def test_no_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "runtimes", "--rounds", "0"]) == 2
    assert "each must be at least 1" in capsys.readouterr().err
