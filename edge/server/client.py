"""llama-server's HTTP interface over its Unix socket, as far as we need it."""

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from magicvl.errors import EngineError

MOST_ERROR = 4096
"""Most bytes that are read of an answer that is not what was asked for."""


class ServerGoneError(Exception):
    """There is no server at the socket, or it went away in the middle of an answer."""


class Client:
    """Requests to one server, each over a connection of its own."""

    def __init__(self, path: Path, key: str) -> None:
        """`path` is that of the socket, `key` what the server knows us by."""
        self._path = path
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ready(self) -> bool:
        """Whether the model is loaded. Raises ServerGoneError where nothing listens yet."""
        with closing(self._ask("GET", "/health")) as connection:
            return _answer(connection).status == http.HTTPStatus.OK

    def get(self, path: str) -> Any:
        """The object at a path. Raises EngineError for what the server refuses, ServerGoneError."""
        with closing(self._ask("GET", path)) as connection:
            return _object(_answer(connection))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """What the server makes of an object. Raises as `get`."""
        with closing(self._ask("POST", path, body)) as connection:
            return _object(_answer(connection))

    def stream(self, path: str, body: Mapping[str, object]) -> Generator[dict[str, Any], None, None]:
        """The objects of a stream of events, each as soon as it is there; closing it ends the work on the request.

        Raises EngineError for what the server refuses, ServerGoneError where it goes away before the last event.
        """
        with closing(self._ask("POST", path, {**body, "stream": True})) as connection:
            response = _answer(connection)
            if response.status != http.HTTPStatus.OK:
                raise _refused(response)
            while line := _line(response):
                # What begins with a colon is said to keep the line open.
                if line.startswith(b"data:"):
                    event = _parsed(line[5:])
                    if "error" in event:
                        raise EngineError(f"llama-server: {_message(event)}")
                    yield event
                    if event.get("stop") is True:
                        return
        raise ServerGoneError("the answer broke off")

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> "_Connection":
        connection = _Connection(self._path)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, self._headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ServerGoneError(str(error)) from None
        except BaseException:
            connection.close()
            raise
        return connection


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Opens the socket; how long an answer takes is the model's business, so nothing here times out."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(str(self._path))
        except BaseException:
            self.sock.close()
            raise


def _answer(connection: _Connection) -> http.client.HTTPResponse:
    try:
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise ServerGoneError(str(error)) from None


def _line(response: http.client.HTTPResponse) -> bytes:
    """A line of the stream, empty at its end. A line is whole: no character of it is cut in two."""
    try:
        return response.readline()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerGoneError(str(error)) from None


def _object(response: http.client.HTTPResponse) -> Any:
    if response.status != http.HTTPStatus.OK:
        raise _refused(response)
    try:
        data = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerGoneError(str(error)) from None
    return _parsed(data)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EngineError(f"llama-server said {data[:60]!r}, an object was expected; take the build of the archive")
    return found


def _refused(response: http.client.HTTPResponse) -> EngineError:
    try:
        data = response.read(MOST_ERROR)
    except (OSError, http.client.HTTPException) as error:
        raise ServerGoneError(str(error)) from None
    try:
        said = _message(json.loads(data))
    except ValueError:
        said = data.decode("utf-8", "replace").strip()
    return EngineError(f"llama-server refused a request (status {response.status}): {said}")


def _message(found: Any) -> str:
    error = found.get("error") if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(message).split())
