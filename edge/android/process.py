"""A long command with its output in a log, a progress line, and an end that leaves nothing running."""

import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from magicvl.errors import MagicVLError

Show = Callable[[str], None]
"""Takes what is being done now; called often."""

_STEP = re.compile(r"^\[(\d+)/(\d+)\] ")
_TAIL = 200  # lines in which the cause of a failure is looked for
_CAUSES = (re.compile(r"No space left|\berror: ", re.IGNORECASE), re.compile("FAILED"), re.compile("CMake Error"))
_PATIENCE = 10.0  # seconds that a stopped command has before it is killed


def run_logged(
    command: Sequence[str | os.PathLike[str]], log: Path, what: str, show: Show, *, extra: Mapping[str, str] = {}
) -> None:
    """Runs a command to its end, its output appended to `log`; `show` gets "WHAT, step N of M (minutes:seconds)".

    `extra` goes into its environment. Ctrl-C reaches the command and all it started, and then the caller. Raises
    MagicVLError with the line that names the cause where it fails.
    """
    tail = deque[str](maxlen=_TAIL)
    began = time.monotonic()
    with log.open("a", encoding="utf-8", buffering=1) as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        process = subprocess.Popen(
            command,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            show(what)
            for line in process.stdout:
                file.write(line)
                tail.append(line.strip())
                if step := _STEP.match(line):
                    minutes, seconds = divmod(int(time.monotonic() - began), 60)
                    show(f"{what}, step {step[1]} of {step[2]} ({minutes}:{seconds:02d})")
            process.wait()
        finally:
            _stop(process)
            if process.stdout is not None:
                process.stdout.close()
    if process.returncode:
        raise MagicVLError(f"{what} failed: {_cause(list(tail))[:300]}; the whole log is {log}")


@contextmanager
def stopping() -> Iterator[None]:
    """Makes a polite kill and a closed terminal end a job as Ctrl-C does, compilers and all."""

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)}
    for kind, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(kind, stop)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _cause(lines: list[str]) -> str:
    """The line that says most of why a command failed."""
    found = (line for cause in _CAUSES for line in lines if cause.search(line))
    return next(found, lines[-1] if lines else "it said nothing")


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends the command and what it started; ninja then deletes what it had half written."""
    for kind in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_PATIENCE)
