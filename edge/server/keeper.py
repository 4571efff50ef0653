"""Keeps a server running while it is wanted: started for the first request, and stopped when none came for a while."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from magicvl.edge.server.process import ServerProcess


class Keeper:
    """A server that may have to be started, or started again, before it can be asked."""

    def __init__(self, start: Callable[[], ServerProcess], idle_seconds: float) -> None:
        """`start` gives a server that is ready; one that nobody asks for `idle_seconds` is stopped."""
        self._start = start
        self._idle_seconds = idle_seconds
        self._lock = threading.RLock()
        self._users = 0
        self._server: ServerProcess | None = None
        self._timer: threading.Timer | None = None

    @property
    def server(self) -> ServerProcess | None:
        """The server, where one was started and has not been stopped; it may have ended by itself."""
        return self._server

    @contextmanager
    def use(self) -> Iterator[ServerProcess]:
        """The server to ask, which is not stopped meanwhile. Raises EngineError where it does not start."""
        with self._lock:
            self._rest(False)
            if self._server is None or not self._server.running:
                self.stop()
                self._server = self._start()
            server = self._server
            self._users += 1
        try:
            yield server
        finally:
            with self._lock:
                self._users -= 1
                self._rest(True)

    def stop(self) -> None:
        """Stops the server; the next use starts another."""
        with self._lock:
            self._rest(False)
            server, self._server = self._server, None
            if server is not None:
                server.close()

    def _rest(self, resting: bool) -> None:
        """From now on nobody asks, or somebody does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A timer counts in seconds that fit into a lock's timeout.
        if resting and self._users == 0 and self._server is not None and self._idle_seconds < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(self._idle_seconds, self._stop_idle)
            self._timer.daemon = True
            self._timer.start()

    def _stop_idle(self) -> None:
        with self._lock:
            if self._users == 0:
                self.stop()
