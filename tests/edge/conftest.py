"""A program to start as llama-server where there is no real one, and grammars as llama.cpp follows them."""

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from magicvl.edge.grammar import Grammar
from magicvl.edge.llama import Follower, Model
from magicvl.edge.variant import ServerProgram

Takes = Callable[[Grammar, str], bool]
STANDIN = Path(__file__).parent / "server" / "standin_server.py"


@pytest.fixture(scope="module")
def takes(tiny_bundle: Path) -> Iterator[Takes]:
    """Whether a grammar takes a whole text, byte after byte, as llama.cpp follows it."""
    with Model(tiny_bundle / "llm.gguf") as model:
        spelled = {model.piece(token): token for token in range(model.tokens)}

        def follow(grammar: Grammar, text: str) -> bool:
            with Follower(model, grammar.gbnf) as follower:
                for byte in text.encode():
                    token = spelled[bytes([byte])]
                    if not follower.allowed(np.array([token]))[0]:
                        return False
                    follower.accept(token)
                return bool(follower.allowed(np.array([model.end_token]))[0])

        yield follow


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
