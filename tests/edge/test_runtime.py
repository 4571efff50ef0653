"""Which runtime is taken, and what is said where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from magicvl import DEFAULT_BUNDLE, load
from magicvl.edge import runtime
from magicvl.edge.engine import Engine
from magicvl.edge.inproc import InProcess
from magicvl.edge.runtime import choose
from magicvl.edge.variant import ServerProgram
from magicvl.errors import EngineError, UsageError

BLOCK = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] == "llama_cpp" else find(name, *more)
"""


def without_llama_cpp(code: str, *arguments: str) -> str:
    """What a process prints in which llama_cpp cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BLOCK}\n{code}", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_server", lambda: None)


def test_auto_stays_in_this_process_where_it_can(standin_program: ServerProgram) -> None:
    assert choose("auto") is InProcess
    assert choose("inproc") is InProcess
    assert choose("server") == standin_program


@pytest.mark.usefixtures("no_server")
def test_no_server_is_one_clear_error() -> None:
    with pytest.raises(EngineError, match=r"no llama-server that runs here: install .* MAGICVL_SERVER .* inproc"):
        choose("server")


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="runtime 'gpu': there are auto, inproc, server"):
        load(runtime="gpu")


def test_auto_takes_the_server_where_llama_cpp_is_missing(standin_program: ServerProgram) -> None:
    code = "from magicvl.edge.runtime import choose; print(choose('auto').path)"
    assert without_llama_cpp(code).strip() == str(standin_program.path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("auto", "nothing here runs a model: install llama-cpp-python; or install magicvl's archive"),
        ("inproc", "no llama.cpp to load into this process: install llama-cpp-python, or use --runtime server"),
    ],
)
def test_neither_is_one_clear_error(name: str, said: str) -> None:
    code = f"""
from magicvl.edge import runtime
from magicvl.errors import EngineError
runtime.find_server = lambda: None
try:
    runtime.choose({name!r})
except EngineError as error:
    print(error)
"""
    assert said in without_llama_cpp(code)


def test_a_library_that_does_not_load_is_said(tmp_path: Path) -> None:
    for name in ("libllama.so", "libmtmd.so"):
        (tmp_path / name).write_text("no library")
    code = f"""
import os
os.environ["MAGICVL_LIBRARY"] = {str(tmp_path)!r}
from magicvl.edge.runtime import choose
from magicvl.errors import EngineError
try:
    choose("inproc")
except EngineError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert f"mend llama-cpp-python (Failed to load shared library '{tmp_path}/libllama.so'" in done.stdout


def test_options_without_effect_are_refused(standin_program: ServerProgram, tmp_path: Path) -> None:
    for arguments, said in (
        ({"cache": tmp_path}, "llama-server keeps no tiles"),
        ({"memory_bytes": 5}, "5 bytes of memory for tiles: llama-server keeps no tiles"),
        ({"idle_seconds": 0}, "must be above 0"),
    ):
        with pytest.raises(UsageError, match=said):
            Engine(DEFAULT_BUNDLE, runtime="server", **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the runtime inproc has nothing to stop"):
        Engine(DEFAULT_BUNDLE, runtime="inproc", idle_seconds=3)
