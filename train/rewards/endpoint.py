"""A judge behind an OpenAI-compatible endpoint: POST BASE/chat/completions, the verdict held to a JSON schema.

llama.cpp's server, vLLM, Ollama and the paid services take this. What is sent leaves this machine: captions, events
and the reference, never pictures. The key is read from an environment variable and goes nowhere but into the header.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Any

from magicvl.edge.prompt import Message
from magicvl.errors import MagicVLError, UsageError
from magicvl.train.rewards.chooser import Question

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Answers that may be another one a little later."""
MOST_BYTES = 2**20
"""Of an answer."""
MOST_SAID = 200
"""Characters of an endpoint's own words in a message."""


@dataclass(frozen=True)
class EndpointSettings:
    """Where the judge is, and how patiently it is asked."""

    url: str
    """Up to and with `/v1`."""
    model: str
    key_variable: str = "MAGICVL_JUDGE_KEY"
    """Environment variable of the key; none is sent where it is not set."""
    timeout: float = 60.0
    """Seconds for one answer."""
    tries: int = 4
    pause: float = 1.0
    """Seconds before the second try, twice as many before each further one."""
    at_once: int = 8
    """Questions."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"judge {self.url!r}: an endpoint's address begins with http:// or https://")
        if not self.model:
            raise UsageError(f"judge {self.url}: it needs the model's name behind a #: {self.url}#MODEL")


class _Passing(Exception):  # noqa: N818 - a signal to try again
    """What may go better a little later."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key must not go to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Endpoint:
    """A chooser that is asked over the network."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._address = f"{settings.url.rstrip('/')}/chat/completions"
        self._opener = urllib.request.build_opener(_NoRedirect)

    @property
    def name(self) -> str:
        """Address and model."""
        return f"{self._settings.url.rstrip('/')}#{self._settings.model}"

    def choose(self, questions: Sequence[Question]) -> list[tuple[float, ...]]:
        """1 for the word that it said, 0 for the others. Raises MagicVLError where it gives no verdict."""
        with ThreadPoolExecutor(self._settings.at_once) as pool:
            try:
                return list(pool.map(self._ask, questions))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ask(self, question: Question) -> tuple[float, ...]:
        body = json.dumps(_body(self._settings.model, question)).encode()
        for number in range(self._settings.tries):
            if number:
                time.sleep(self._settings.pause * 2 ** (number - 1))
            try:
                said = _verdict(self._post(body), question.words)
                return tuple(float(word == said) for word in question.words)
            except _Passing as error:
                why = str(error)
        raise MagicVLError(f"judge {self.name}: no verdict after {self._settings.tries} tries: {why}")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._settings.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._address, body, headers)
        try:
            with self._opener.open(request, timeout=self._settings.timeout) as response:
                found: bytes = response.read(MOST_BYTES)
                return found
        except urllib.error.HTTPError as error:
            said = f"HTTP {error.code}: {_line(error.read(MOST_BYTES))}"
            if error.code in AGAIN:
                raise _Passing(said) from None
            raise MagicVLError(
                f"judge {self.name}: {said}; see the address, the model and {self._key_note()}"
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            raise _Passing(str(getattr(error, "reason", error)) or type(error).__name__) from None

    def _key_note(self) -> str:
        return f"the key in {self._settings.key_variable}"


def _body(model: str, question: Question) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"verdict": {"type": "string", "enum": list(question.words)}},
        "required": ["verdict"],
        "additionalProperties": False,
    }
    return {
        "model": model,
        "messages": [{"role": each.role, "content": _content(each)} for each in question.messages],
        "temperature": 0,
        "max_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": schema},
        },
    }


def _content(message: Message) -> str:
    return "".join(part for part in message.parts if isinstance(part, str))


def _verdict(data: bytes, words: Sequence[str]) -> str:
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise _Passing(f"it answers with something else than a chat completion: {_line(data)}") from None
    try:
        said = json.loads(content)["verdict"]
    except (ValueError, KeyError, TypeError, RecursionError):
        # A server that knows no schemas answers in words.
        said = str(content).strip().strip(".\"'")
    if said not in words:
        raise _Passing(f"it says {_line(str(content).encode())!r}, where one of {', '.join(words)} is due")
    return str(said)


def _line(data: bytes) -> str:
    text = " ".join(data.decode(errors="replace").split())
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]} ..."
