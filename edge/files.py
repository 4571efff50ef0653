"""Files of ours on disk: written whole or not at all, and where the user's own ones lie."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """A file beside `path` to write, made with `mode`; it takes its place at the end, or is gone where that fails.

    Raises OSError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.touch(mode=mode)
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def user_folder(variable: str, usual: str) -> Path:
    """The program's folder under an XDG base directory: `variable` names it, `usual` is where it lies in the home.

    Raises RuntimeError for a user without a home.
    """
    return Path(os.environ.get(variable) or Path.home() / usual) / "magicvl"


def append_whole(file: int, data: bytes) -> None:
    """Appends to an open file: when this returns all of it is on disk, and nothing where it raises OSError."""
    size = os.fstat(file).st_size
    try:
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise
