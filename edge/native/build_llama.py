"""Compile and install llama-cpp-python with a progress line; standard library only.

    .venv/bin/python edge/native/build_llama.py llama-cpp-python==0.3.36

It runs plain `pip install` of the given requirement into the Python that runs it. trim.cmake, beside this
file, leaves out the parts of llama.cpp that the Python package never loads. The choice travels in CMAKE_ARGS
and not in pip's --config-settings, so that pip's wheel cache keeps the result for the next environment.
"""

import argparse
import importlib.metadata
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

TRIM = Path(__file__).resolve().with_name("trim.cmake")
LINE_EVERY = 20.0  # seconds between two progress lines where stderr is no terminal
TAIL = 25  # lines of the log shown after a failure

_NINJA_STEP = re.compile(r"^\s*\[(\d+)/(\d+)\] ")
_MAKE_STEP = re.compile(r"^\s*\[\s*(\d+)%\] ")
_STAGES = (
    ("Downloading llama_cpp", "downloading llama.cpp's source"),
    ("Installing build dependencies", "getting the build tools"),
    ("*** Configuring CMake", "configuring llama.cpp"),
    ("*** Installing project", "packing llama.cpp"),
    ("Installing collected packages", "installing packages"),
)


@dataclass
class Progress:
    """What the build is doing now; the reader thread writes it, the main thread shows it."""

    text: str = "looking for llama.cpp"

    def read(self, line: str) -> None:
        """Take the new state from one line of pip's output, if the line says one."""
        if step := _NINJA_STEP.match(line):
            self.text = f"compiling llama.cpp, step {step[1]} of {step[2]}, this takes minutes, once"
        elif step := _MAKE_STEP.match(line):
            self.text = f"compiling llama.cpp, {step[1]} % done, this takes minutes, once"
        else:
            self.text = next((text for mark, text in _STAGES if mark in line), self.text)


def is_installed(requirement: str) -> bool:
    """True if exactly the pinned version is there already, so that neither pip nor a compiler is needed."""
    name, _, version = requirement.partition("==")
    try:
        return importlib.metadata.version(name) == version
    except importlib.metadata.PackageNotFoundError:
        return False


def missing_compiler(environment: Mapping[str, str]) -> str | None:
    """One line on what to install, or None where a C and a C++ compiler are found."""
    for variable, language, names in (
        ("CC", "C", ("cc", "gcc", "clang")),
        ("CXX", "C++", ("c++", "g++", "clang++")),
    ):
        chosen = shlex.split(environment.get(variable, ""))
        if not any(shutil.which(name) for name in chosen[:1] or names):
            return f"llama.cpp needs a {language} compiler: on Debian or Ubuntu, apt-get install g++"
    return None


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for pip: trim.cmake goes in front of CMAKE_ARGS, so that a user's own flags win."""
    trim = shlex.quote(f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={TRIM}")
    return {
        # Without this, a machine that lacks ninja compiles with make on one core; ninja comes from PyPI.
        "SKBUILD_NINJA_MAKE_FALLBACK": "0",
        **environment,
        "CMAKE_ARGS": f"{trim} {environment.get('CMAKE_ARGS', '')}".strip(),
        "PYTHONUNBUFFERED": "1",
    }


def start_pip(requirement: str) -> subprocess.Popen[str]:
    """Start pip in a process group of its own, so that stop() reaches the compilers below it too."""
    return subprocess.Popen(
        [sys.executable, "-m", "pip", "install", "-v", "--progress-bar=off", requirement],
        env=build_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def stop(build: subprocess.Popen[str]) -> None:
    """End pip and everything it started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(build.pid, kind)
            build.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def copy_output(build: subprocess.Popen[str], log: TextIO, progress: Progress, tail: deque[str]) -> None:
    """Read pip's output to its end: into the log, the last lines and the progress."""
    assert build.stdout is not None
    for line in build.stdout:
        log.write(line)
        tail.append(line.rstrip()[:500])
        progress.read(line)


def show_progress(build: subprocess.Popen[str], progress: Progress, screen: TextIO) -> None:
    """Keep one line up to date until pip ends; where stderr is no terminal, print a line now and then."""
    live = screen.isatty()
    began = shown = time.monotonic()
    while build.poll() is None:
        time.sleep(0.3)
        now = time.monotonic()
        minutes, seconds = divmod(int(now - began), 60)
        line = f"{progress.text} ({minutes}:{seconds:02d})"
        if live:
            screen.write(f"\r\033[K{line}")
        elif now - shown >= LINE_EVERY:
            screen.write(f"{line}\n")
            shown = now
        screen.flush()
    if live:
        screen.write("\r\033[K")


def install(requirement: str, log_path: Path) -> int:
    """Install the requirement, with its whole output in log_path; returns pip's exit status."""
    progress, tail = Progress(), deque[str](maxlen=TAIL)
    with log_path.open("w", encoding="utf-8") as log:
        build = start_pip(requirement)
        reader = threading.Thread(target=copy_output, args=(build, log, progress, tail), daemon=True)
        reader.start()
        try:
            show_progress(build, progress, sys.stderr)
        finally:
            stop(build)
            reader.join(timeout=10)
    if build.returncode:
        print(*tail, f"llama.cpp did not install; the whole log is {log_path}", sep="\n", file=sys.stderr)
    return build.returncode


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Read the command line and install; 0 done, 1 failed, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(description="Compile and install llama-cpp-python, only the parts it loads.")
    parser.add_argument("requirement", help="the pinned package, such as llama-cpp-python==0.3.36")
    parser.add_argument("--log", type=Path, default=Path(sys.prefix) / "llama-build.log", help="pip's whole output")
    options = parser.parse_args()
    if is_installed(options.requirement):
        return 0
    if problem := missing_compiler(os.environ):
        print(problem, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return 1 if install(options.requirement, options.log) else 0
    except KeyboardInterrupt:
        print("\nstopped; nothing was installed", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
