"""A llama-server of our own: started beside this process, watched, and gone when it is not needed any more.

It listens on a Unix socket in a folder that only this user can enter, and answers to a random key that stands in its
environment, where no other user can read it. A shell beside it waits for this process to end, however it ends: the
kernel's own signal for that (PR_SET_PDEATHSIG) comes when the *thread* that started a child ends, too early.
"""

import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from magicvl.edge.server.client import Client, ServerGoneError
from magicvl.edge.server.folder import make_folder
from magicvl.errors import EngineError

READY_SECONDS = 600.0
"""Longest wait for a model to be loaded: a large one from slow storage."""
LAST_WORDS = 12
"""Lines of what a server said last that are kept for errors."""

_WATCH = 'read -r _; kill -9 "$1"; rm -rf -- "$2"'
"""What waits for the end of this process, which holds the other end of its standard input."""


class ServerProcess:
    """A running server. It ends with `close`, with this object, or with this process."""

    def __init__(self, program: Path, arguments: Sequence[str | Path], directory: Path | None = None) -> None:
        """Starts `program` in a directory, by default this one, with what it shall load; it is not ready yet.

        Raises EngineError.
        """
        self._program = program
        key = secrets.token_hex(32)
        self.folder = make_folder()
        socket = self.folder / "llama.sock"
        self.client = Client(socket, key)
        self._words: deque[str] = deque(maxlen=LAST_WORDS)
        try:
            self._process = subprocess.Popen(
                [program, "--host", socket, *arguments],
                env=_environment(key),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C in a terminal goes to all of a session: the server must not hear it.
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise EngineError(f"{program}: it cannot be started ({error.strerror or error})") from None
        self.pid = self._process.pid
        self._listener = threading.Thread(target=_listen, args=(self._process.stderr, self._words), daemon=True)
        self._listener.start()
        try:
            self._watcher = _watch(self.pid, self.folder)
        except OSError as error:
            _end(os.getpid(), self._process, None, self.folder)
            raise EngineError(f"a shell to watch over {program.name} cannot be started ({error})") from None
        self._end = weakref.finalize(self, _end, os.getpid(), self._process, self._watcher, self.folder)

    @property
    def running(self) -> bool:
        """Whether the server has not ended by itself."""
        return self._end.alive and self._process.poll() is None

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns when the model is loaded. Raises EngineError where the server ends, or takes longer."""
        until, pause = time.monotonic() + seconds, 0.005
        while True:
            with suppress(ServerGoneError):
                if self.client.ready():
                    return
            if not self.running:
                raise EngineError(f"{self._program} ended before it was ready{self.last_words()}")
            if time.monotonic() > until:
                raise EngineError(f"{self._program} was not ready after {seconds:g} seconds{self.last_words()}")
            time.sleep(pause)
            pause = min(0.1, 1.5 * pause)

    def last_words(self) -> str:
        """What the server said and how it ended, as the end of a message."""
        # Its socket is closed a moment before it has ended.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
            self._listener.join(1)
        code = self._process.poll()
        said = [] if code is None else [_ending(code)]
        if self._words:
            # The last line is often not the one that tells.
            errors = [line for line in self._words if "error" in line.lower() or "failed" in line.lower()]
            said.append((errors or list(self._words))[0])
        return f" ({'; '.join(said)})" if said else ""

    def close(self) -> None:
        """Ends the server; its conversations are lost."""
        self._end()


def _environment(key: str) -> dict[str, str]:
    """This process's, without what would change the server's options behind our back."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLAMA_", "AIP_", "HF_", "MTMD_", "GGML_"))
    }
    if "OMP_WAIT_POLICY" not in kept:
        # As in magicvl.edge.llama.
        kept.setdefault("GOMP_SPINCOUNT", "1000")
    return kept | {"LLAMA_API_KEY": key}


def _listen(stream: Any, words: deque[str]) -> None:
    """Empties the server's standard error, or it would wait for it for ever."""
    with stream:
        for line in stream:
            if text := line.decode("utf-8", "replace").strip():
                words.append(text)


def _watch(server: int, folder: Path) -> "subprocess.Popen[bytes]":
    shell = shutil.which("sh") or "/bin/sh"
    watcher = subprocess.Popen(
        [shell, "-c", _WATCH, "magicvl", str(server), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _WATCHERS.add(watcher)
    return watcher


def _end(
    owner: int, server: "subprocess.Popen[bytes]", watcher: "subprocess.Popen[bytes] | None", folder: Path
) -> None:
    """Ends server and watcher and removes their folder; nothing in a process that was forked off the `owner`."""
    if os.getpid() != owner:
        return
    # The server is waited for last: until then no other process can have its number, and the watcher's kill is right.
    server.kill()
    if watcher is not None:
        watcher.kill()
        watcher.wait()
        assert watcher.stdin is not None
        with suppress(OSError):
            watcher.stdin.close()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


_WATCHERS: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()


def _let_go() -> None:
    """A forked process does not hold the watchers' inputs open: they wait for the end of the one that started them."""
    for watcher in list(_WATCHERS):
        if watcher.stdin is not None:
            with suppress(OSError):
                os.close(watcher.stdin.fileno())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
