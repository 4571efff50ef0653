"""Private folders for the sockets of our servers."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from magicvl.errors import EngineError

PREFIX = "magicvl-"
LONGEST = 90
"""Most bytes of a folder's path: a Unix socket's own path has at most 103 everywhere, its name in the folder 11."""
STALE_SECONDS = 3600.0
"""A folder that nobody answers in is left alone for so long: its server may be loading."""


def make_folder() -> Path:
    """A new folder that only this user can enter; what killed processes left behind is removed.

    Raises EngineError where there is no place for one.
    """
    reasons = []
    for base in _bases():
        _sweep(base)
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        except OSError as error:
            reasons.append(f"{base}: {error.strerror or error}")
            continue
        if len(os.fsencode(folder)) <= LONGEST:
            return folder
        folder.rmdir()
        reasons.append(f"{base}: its path is too long for a socket")
    raise EngineError(f"no place for llama-server's socket ({'; '.join(reasons)}): set TMPDIR to another folder")


def _bases() -> Iterator[Path]:
    """Where to try, the best place first: one in memory, of this user alone."""
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime)
    with suppress(FileNotFoundError):  # a full disk: tempfile finds no folder to write to
        yield Path(tempfile.gettempdir())
    with suppress(RuntimeError):
        yield Path.home()


def _sweep(base: Path) -> None:
    """Removes our folders whose server is gone: a process that is killed together with its watcher leaves one."""
    with suppress(OSError):
        for folder in base.glob(f"{PREFIX}*"):
            with suppress(OSError):
                status = folder.lstat()
                old = time.time() - status.st_mtime > STALE_SECONDS
                # Others' temporary folders may have such a name; only ours hold this, and nothing else.
                names = set(os.listdir(folder)) if old and status.st_uid == os.getuid() else {"?"}
                if names <= {"llama.sock", "lora.gguf"} and not _answers(folder / "llama.sock"):
                    shutil.rmtree(folder, ignore_errors=True)


def _answers(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True
