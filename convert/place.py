"""A directory that appears whole, or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from magicvl.errors import CheckpointError, UsageError


def check_target(target: Path, *, source: Path, force: bool, mark: str) -> None:
    """Whether the target may be written. Raises UsageError.

    `force` replaces what this program made, told by the file `mark`, and never eats anything else.
    """
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target}: its directory {target.parent} does not exist; make it first")
    if not os.path.lexists(target):
        return
    if not force:
        raise UsageError(f"{target}: it exists; --force replaces it, or take another name")
    ours = target.is_dir() and not target.is_symlink() and (target / mark).is_file()
    if not ours or target.resolve() in (source.resolve(), *source.resolve().parents):
        raise UsageError(f"{target}: --force replaces only what has a {mark} and is not the source; take another name")


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A new directory beside the target that takes its place at the end, or leaves no trace."""
    target = target.absolute()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        partial.mkdir()
        yield partial
        if target.exists():
            target.rename(old)
        partial.rename(target)
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be written ({error})") from None
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
