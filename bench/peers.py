"""What our engine is measured beside: llama-cpp-python's chat handler, and llama.cpp's server in an independent build.

Both are asked through the chat API that their users have, with a picture's file as a data address, for one token.
"""

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from magicvl.bench.server_child import MARK
from magicvl.edge.bundle import Bundle
from magicvl.errors import EngineError

Chat = dict[str, Any]
"""A message of the chat API."""


@dataclass(frozen=True)
class Reply:
    """One answer and what it took."""

    text: str
    prompt_tokens: int
    cpu_s: float
    wall_s: float


class Peer(Protocol):
    """Somebody else's engine, loaded."""

    name: str
    about: str
    """What it is, for the record."""

    def ask(self, messages: Sequence[Chat]) -> Reply:
        """Asks for one token. Raises EngineError."""

    def close(self) -> None:
        """Ends it."""


def user(question: str, picture: bytes | None = None) -> Chat:
    """A user's turn; `picture` is the file of a PNG."""
    parts: list[Chat] = [{"type": "text", "text": question}]
    if picture is not None:
        url = "data:image/png;base64," + base64.b64encode(picture).decode()
        parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def assistant(text: str) -> Chat:
    """An answer that was given."""
    return {"role": "assistant", "content": text}


class Handler:
    """llama-cpp-python's own way from a picture to an answer, in this process."""

    name = "handler"

    def __init__(self, bundle: Bundle, context: int, threads: int) -> None:
        from llama_cpp import Llama, __version__
        from llama_cpp.llama_chat_format import MTMDChatHandler

        self.about = f"MTMDChatHandler of llama-cpp-python {__version__}"
        handler = MTMDChatHandler(clip_model_path=str(bundle.path("mmproj")), verbose=False, use_gpu=False)
        self._llama = Llama(
            str(bundle.path("llm")),
            chat_handler=handler,
            n_ctx=context,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )

    def ask(self, messages: Sequence[Chat]) -> Reply:
        """Asks for one token. Raises EngineError where the handler fails."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            reply: Any = self._llama.create_chat_completion(
                messages=list(messages),  # type: ignore[arg-type]
                max_tokens=1,
                temperature=0.0,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"llama-cpp-python's handler fails on these pictures ({error}), so there is nothing to compare with; "
                f"measure smaller ones"
            ) from None
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return _reply(reply, cpu, wall)

    def close(self) -> None:
        """Frees the model."""
        self._llama.close()


class Server:
    """llama.cpp's server of the package xllamacpp, in a process of an interpreter that has it."""

    name = "server"

    def __init__(self, bundle: Bundle, context: int, threads: int, python: str) -> None:
        """`python` is the interpreter. Raises EngineError where it has no xllamacpp or that refuses the files."""
        order = {
            "llm": str(bundle.path("llm").absolute()),
            "mmproj": str(bundle.path("mmproj").absolute()),
            "context": context,
            "threads": threads,
        }
        script = Path(__file__).with_name("server_child.py")
        self._python = python
        with ExitStack() as owned:
            # What it says could fill a pipe that nobody reads.
            self._said = owned.enter_context(tempfile.TemporaryFile())
            try:
                self._child = subprocess.Popen(
                    [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True
                )
            except OSError as error:
                raise EngineError(f"{python}: cannot be run ({error}); name one that has xllamacpp") from None
            owned.callback(self._end)
            hello = self._exchange(order)
            self.about = f"server of llama.cpp in xllamacpp {hello['version']}"
            self._owned = owned.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, messages: Sequence[Chat]) -> Reply:
        """Asks for one token. Raises EngineError where the server fails or is gone."""
        found = self._exchange({"messages": list(messages), "max_tokens": 1, "temperature": 0})
        reply = found["reply"]
        if "choices" not in reply:
            raise EngineError(f"llama.cpp's server refuses these pictures: {json.dumps(reply)[:300]}")
        return _reply(reply, found["cpu_s"], found["wall_s"])

    def close(self) -> None:
        """Ends the process."""
        self._owned.close()

    def _exchange(self, data: object) -> dict[str, Any]:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        # Where it has ended, what it said last is below.
        with suppress(OSError):
            stdin.write(json.dumps(data) + "\n")
            stdin.flush()
        for line in stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        self._child.wait()
        self._said.seek(0)
        words = self._said.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise EngineError(f"{self._python}: llama.cpp's server ended (exit code {self._child.returncode}): {words[0]}")

    def _end(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                # Closing writes what is left, to a process that is gone.
                with suppress(OSError):
                    pipe.close()


def _reply(reply: Any, cpu: float, wall: float) -> Reply:
    text = reply["choices"][0]["message"]["content"] or ""
    return Reply(text, int(reply["usage"]["prompt_tokens"]), cpu, wall)
