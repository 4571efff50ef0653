"""The build script: what it reads from pip, what it hands to pip, and how it ends."""

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "edge" / "native" / "build_llama.py"


@pytest.fixture(scope="module")
def build_llama() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_llama", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose build step is the Python code in its file build_step.py; needs no network."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "magicvl-test-package"\nversion = "1"\n'
    )
    (folder / "backend.py").write_text("def build_wheel(*_):\n    import build_step\n")
    return folder


def command(package: Path, log: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), str(package), "--log", str(log)]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("  [57/95] /usr/bin/g++ -O3 x.cpp", "compiling llama.cpp, step 57 of 95, this takes minutes, once"),
        ("  [ 42%] Building CXX object x.o", "compiling llama.cpp, 42 % done, this takes minutes, once"),
        ("  Downloading llama_cpp_python-0.3.36.tar.gz (76.6 MB)", "downloading llama.cpp's source"),
        ("  a[1/2] is no step", "looking for llama.cpp"),
    ],
)
def test_progress_reads_pip(build_llama: ModuleType, line: str, text: str) -> None:
    progress = build_llama.Progress()
    progress.read(line)
    assert progress.text == text


def test_users_cmake_flags_come_last_and_survive(build_llama: ModuleType) -> None:
    flags = shlex.split(build_llama.build_environment({"CMAKE_ARGS": "-DGGML_NATIVE=OFF"})["CMAKE_ARGS"])
    assert flags == [
        f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={SCRIPT.with_name('trim.cmake')}",
        "-DGGML_NATIVE=OFF",
    ]
    assert build_llama.TRIM.is_file()


def test_missing_compiler_is_one_line(build_llama: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = build_llama.missing_compiler({})
    assert problem is not None and "apt-get install g++" in problem and "\n" not in problem
    assert build_llama.missing_compiler({"CC": sys.executable, "CXX": f"{sys.executable} -pipe"}) is None


def test_installed_means_the_very_version(build_llama: ModuleType) -> None:
    assert build_llama.is_installed(f"pytest=={pytest.__version__}")
    assert not build_llama.is_installed("pytest==0.1")
    assert not build_llama.is_installed("no-such-package-anywhere==1")


def test_failure_shows_the_log(package: Path, tmp_path: Path) -> None:
    (package / "build_step.py").write_text("raise SystemExit('the compiler gave up')\n")
    log = tmp_path / "log"
    done = subprocess.run(command(package, log), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "the compiler gave up" in done.stderr and "the compiler gave up" in log.read_text()
    assert str(log) in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_the_compile(package: Path, tmp_path: Path, kind: signal.Signals) -> None:
    mark = tmp_path / "pid"
    (package / "build_step.py").write_text(
        "import pathlib, subprocess, sys\n"
        "compiler = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"pathlib.Path({str(mark)!r}).write_text(f'{{compiler.pid}}\\n')\n"
        "compiler.wait()\n"
    )
    with subprocess.Popen(command(package, tmp_path / "log"), stderr=subprocess.PIPE, text=True) as build:
        compiler = int(wait_for_line(mark))
        build.send_signal(kind)
        _, errors = build.communicate(timeout=60)
    assert build.returncode == 130
    assert "Traceback" not in errors
    assert not is_running(compiler)


def wait_for_line(path: Path, seconds: float = 60.0) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear in {seconds} s")


def is_running(pid: int) -> bool:
    """True if the process still runs; one that waits to be collected by its parent does not."""
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
