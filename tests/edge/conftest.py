"""A program to start as llama-server where there is no real one."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from magicvl.edge.variant import ServerProgram

STANDIN = Path(__file__).parent / "server" / "standin_server.py"


@pytest.fixture(scope="session")
def make_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes a Python file a program that keeps its process."""

    def make(file: Path, *, bare: bool = False) -> Path:
        program = tmp_path_factory.mktemp("program") / "llama-server"
        python = [sys.executable, *(["-I", "-S"] if bare else []), str(file)]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(python)} "$@"\n')
        program.chmod(0o755)
        return program

    return make


@pytest.fixture(scope="session")
def standin(make_program: Callable[[Path], Path]) -> Path:
    """The stand-in of `standin_server.py`."""
    return make_program(STANDIN)


@pytest.fixture
def standin_program(standin: Path, monkeypatch: pytest.MonkeyPatch) -> ServerProgram:
    """The stand-in as what `find_server` gives."""
    monkeypatch.setenv("MAGICVL_SERVER", str(standin))
    return ServerProgram(standin, None, None)
