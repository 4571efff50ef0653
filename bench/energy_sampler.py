"""Reading a source in the background while something else works."""

import threading
from types import TracebackType
from typing import Any, Self

from magicvl.bench.energy_source import Source
from magicvl.errors import MagicVLError


class Sampler:
    """Reads a source every period, from entering to leaving; the first reading is there at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.readings: list[Any] = []
        self._over = threading.Event()
        self._failed: MagicVLError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.readings.append(self.source.read())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None:
            self._read()
            if self._failed is not None:
                raise self._failed

    def _run(self) -> None:
        while not self._over.wait(self.source.period):
            self._read()

    def _read(self) -> None:
        try:
            self.readings.append(self.source.read())
        except MagicVLError as error:
            # One reading more or less does not matter; that none came is told by the trace.
            self._failed = error if len(self.readings) < 2 else None
