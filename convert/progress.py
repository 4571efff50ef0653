"""Progress of a conversion on stderr: tensors, bytes, rate and time left on a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Steps(Protocol):
    """What a writer tells as it goes."""

    def begin(self, title: str, tensors: int, size: int) -> None:
        """A part of the work starts: so many tensors, so many bytes to write."""

    def advance(self, size: int) -> None:
        """One tensor of so many bytes is done."""


class Quiet:
    """Tells nobody."""

    def begin(self, title: str, tensors: int, size: int) -> None:
        """Nothing."""

    def advance(self, size: int) -> None:
        """Nothing."""


class Bar:
    """One line a part of the work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, title: str, tensors: int, size: int) -> None:
        """Opens a line."""
        self._task = self._progress.add_task(title, total=size, done=0, tensors=tensors)

    def advance(self, size: int) -> None:
        """Moves the last line."""
        if self._task is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, advance=size, done=task.fields["done"] + 1)


@contextmanager
def bar() -> Iterator[Steps]:
    """A bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Quiet()
        return
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[done]}/{task.fields[tensors]} tensors"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(progress)
