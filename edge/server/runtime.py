"""The runtime beside this process: a llama-server of our own, which gets tiles already cut.

What it has not: visual tokens of tiles beyond the conversations that it holds, logits, and a memory that can be saved.
The encoder's time is part of the prompt's. It keeps as much context as was asked for so far, and is started again,
with twice as much, where a request needs more.
"""

import os
import secrets
import subprocess
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from magicvl.edge.answer import Options, Progress
from magicvl.edge.decoding import BATCH, composed
from magicvl.edge.free_memory import free_memory
from magicvl.edge.memory import check_context, token_bytes
from magicvl.edge.request import Request
from magicvl.edge.runtime import Clock, Said, Setup
from magicvl.edge.sequences import Element, whole_steps
from magicvl.edge.server.client import Client, ServerGoneError
from magicvl.edge.server.keeper import Keeper
from magicvl.edge.server.process import ServerProcess
from magicvl.edge.server.prompt import Dialect, prompt_of
from magicvl.edge.variant import ServerProgram
from magicvl.errors import EngineError

IDLE_SECONDS = 600.0
FIRST_ROOM = 4096
"""Tokens of context that a server begins with: keys and values take their memory at once, used or not."""
SLACK = 256
"""Tokens of context more than are asked for: it looks one further, and counts in blocks."""
REMEMBERED = 4096
"""Texts whose token ids are remembered: a conversation's earlier turns come again with each turn."""


def first_room(context: int) -> int:
    """Tokens of context that a server begins with, where so many are allowed."""
    return min(context, FIRST_ROOM)


class ServerRuntime:
    """A llama-server and what is known of it."""

    def __init__(self, setup: Setup, program: ServerProgram, idle_seconds: float) -> None:
        """Starts the server, which is then ready. Raises EngineError where it does not come up, or cannot see."""
        self._setup = setup
        self._program = program
        self._room = first_room(setup.context)
        self._slots = _Slots(setup.sequences)
        self._pre_tokenizer = str(setup.llm.metadata.get("tokenizer.ggml.pre", ""))
        self._keeper = Keeper(self._start, idle_seconds)
        self._tokenise = lru_cache(REMEMBERED)(self._ask_for_ids)
        self._dialect: Dialect | None = None
        try:
            with self._keeper.use():
                pass
        except BaseException:
            self.close()
            raise

    @property
    def exact(self) -> bool:
        """Whether the server takes ids beside pictures."""
        return self._dialect is not None and self._dialect.parts

    @property
    def pid(self) -> int | None:
        """The server's process, None while it is stopped."""
        server = self._keeper.server
        return None if server is None else server.pid

    def close(self) -> None:
        """Stops the server."""
        self._keeper.stop()

    def answer(
        self, request: Request, options: Options, owner: object, room: int, clock: Clock, progress: Progress
    ) -> Generator[str, None, Said]:
        """See `magicvl.edge.runtime.Runtime`.

        A server that dies is started again, and asked once more: what it says then must begin with what was said.
        """
        self._make_room(request.tokens + room)
        seed = secrets.randbelow(2**32 - 1) if options.seed is None else options.seed
        streamed = ""
        for again in (False, True):
            hearing = _Hearing(request, room, clock, progress)
            with self._keeper.use() as server:
                body = self._body(self._prompt(request), options, owner, room, seed) | self._adapters(request)
                try:
                    with closing(server.client.stream("/completion", body)) as events:
                        for _ in hearing.take(events):
                            if len(hearing.said.text) > len(streamed):
                                new = _continued(streamed, hearing.said.text)
                                streamed += new
                                yield new
                except ServerGoneError as error:
                    words = server.last_words()
                    self._keeper.stop()
                    if again:
                        raise EngineError(f"llama-server died twice over a request{words}: {error}") from None
                    continue
            if len(hearing.said.text) < len(streamed):
                raise _otherwise(streamed)
            self._complete(hearing)
            return hearing.said
        raise AssertionError

    def leave(self, owner: object) -> None:
        """Lets others have the owner's slot first."""
        self._slots.leave(owner)

    def state(self, owner: object, most: int | None) -> None:
        """None: a server's memory of pictures cannot be saved."""

    def restore(self, owner: object, elements: Sequence[Element], state: npt.NDArray[np.uint8]) -> bool:
        """False: what was saved is computed again."""
        return False

    @property
    def build(self) -> str:
        """The server's own word for its version."""
        return f"llama-server {self._build}"

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """See `magicvl.edge.runtime.Tokeniser`."""
        return list(self._tokenise(text, special))

    def _ask_for_ids(self, text: str, special: bool) -> tuple[int, ...]:
        for again in (False, True):
            try:
                with self._keeper.use() as server:
                    return tuple(self._ids(server.client, text, special=special))
            except ServerGoneError as error:
                self._keeper.stop()
                if again:
                    raise EngineError(f"llama-server died over a text of {len(text):,} characters: {error}") from None
        raise AssertionError

    def _ids(self, client: Client, text: str, *, special: bool, whole: bool = False) -> list[int]:
        # As in process: half a character is a question mark.
        content = composed(text, self._pre_tokenizer).encode("utf-8", "replace").decode()
        body = {"content": content, "parse_special": special, "add_special": whole}
        return [int(token) for token in client.post("/tokenize", body)["tokens"]]

    def _start(self) -> ServerProcess:
        """A server that is ready and has been looked at. Raises EngineError."""
        setup = self._setup
        server = ServerProcess(self._program.path, self._arguments(), _beside(_adapters(setup)))
        try:
            server.wait_until_ready()
            self._look_at(server.client)
        except ServerGoneError as error:
            words = server.last_words()
            server.close()
            raise EngineError(f"{self._program.path} died when it was asked what it is{words}: {error}") from None
        except BaseException:
            server.close()
            raise
        return server

    def _look_at(self, client: Client) -> None:
        """Asks the server what it is, and what it can. Raises EngineError where that is too little."""
        props = client.get("/props")
        self._build = str(props.get("build_info", "unknown"))
        if self._program.build is not None and self._program.build != self._build:
            raise EngineError(
                f"{self._program.path} says it is {self._build}, its record {self._program.build}: install it again"
            )
        if not props.get("modalities", {}).get("vision"):
            raise EngineError(
                f"{self._program.path} ({self._build}) takes no pictures: install the llama-server of magicvl's "
                f"archive or a newer one, or use --runtime inproc"
            )
        probe = self._ids(client, "a", special=False)
        whole = self._ids(client, "a", special=False, whole=True)
        place = next(i for i in range(len(whole)) if whole[i : i + len(probe)] == probe)
        self._dialect = Dialect(
            parts=_takes_parts(client, probe),
            marker=str(props.get("media_marker", "<__media__>")),
            before=tuple(whole[:place]),
            after=tuple(whole[place + len(probe) :]),
        )

    def _arguments(self) -> list[str | Path]:
        setup, threads = self._setup, str(self._setup.threads)
        arguments: list[str | Path] = [
            *("--model", setup.llm.path.absolute(), "--mmproj", setup.mmproj.absolute()),
            *("--threads", threads, "--threads-batch", threads, "--parallel", str(setup.sequences)),
            *("--ctx-size", str(min(self._room + SLACK, setup.lock.language.context))),
            *("--batch-size", str(BATCH), "--ubatch-size", str(BATCH)),
            # As in process, see magicvl.edge.llama: exact sums, one memory for all, no tile's size touched.
            *("--flash-attn", "off", "--cache-type-k", setup.key_type, "--gpu-layers", "0", "--no-mmproj-offload"),
            *("--image-min-tokens", "1", "--image-max-tokens", str(setup.lock.grid.tile_tokens)),
            *("--no-context-shift", "--no-warmup", "--no-slots", "--no-webui"),
        ]
        for option in _OPTIONAL:
            if self._program.build is not None or option[0] in _help(self._program.path):
                arguments += option
        if adapters := _adapters(setup):
            # The option splits paths at commas and colons; the server is started beside the files.
            beside = _beside(adapters)
            names = (os.path.relpath(each.path, beside) for each in adapters)
            scales = ("0" if each.captions else f"{each.scale:g}" for each in adapters)
            scaled = (f"{name}:{scale}" for name, scale in zip(names, scales, strict=True))
            arguments += ["--lora-scaled", ",".join(scaled)]
        return arguments

    def _make_room(self, tokens: int) -> None:
        """Starts the server again where the context is too small; what it held has to be read again."""
        if tokens > self._room:
            # What the smaller one took is free by then.
            self._keeper.stop()
            self._room = self._larger(tokens)

    def _larger(self, tokens: int) -> int:
        """Twice the room or more, so that a long talk is seldom read again; where memory lacks, what is asked for."""
        room, most = self._room, self._setup.context
        while room < tokens:
            room *= 2
        token, free = token_bytes(self._setup.llm, self._setup.key_type), free_memory()
        if free is not None and token * min(room, most) > free:
            room = whole_steps(tokens)
        check_context(token, min(room, most), free=free)
        return min(room, most)

    def _prompt(self, request: Request) -> object:
        assert self._dialect is not None
        projector = self._setup.lock.vision.projector
        return prompt_of(request, self._dialect, projector, lambda text: self.tokenise(text, special=True))

    def _body(self, prompt: object, options: Options, owner: object, room: int, seed: int) -> dict[str, object]:
        body: dict[str, object] = {
            "prompt": prompt,
            # One more: what a grammar ends at the limit is whole, and only the next token shows that.
            "n_predict": room + (options.grammar is not None),
            "cache_prompt": True,
            "id_slot": self._slots.of(owner),
            "return_tokens": True,
            "return_progress": True,
            "temperature": options.temperature,
            "samplers": ["temperature"] if options.top_p is None else ["top_p", "temperature"],
            "top_p": 1.0 if options.top_p is None else options.top_p,
            "min_keep": 1,
            "seed": seed,
        }
        return body if options.grammar is None else body | {"grammar": options.grammar.gbnf}

    def _adapters(self, request: Request) -> dict[str, object]:
        """Which adapters answer.

        Said with every request where they are not always the same: a server that is not told takes its own, but goes on
        from what it read with others.
        """
        if self._setup.caption_lora is None:
            return {}
        scales = [0.0 if each.captions > request.captions else each.scale for each in _adapters(self._setup)]
        return {"lora": [{"id": number, "scale": scale} for number, scale in enumerate(scales)]}

    def _complete(self, hearing: "_Hearing") -> None:
        """Finds the ids that the server did not tell: it says a character of several tokens by the last one's."""
        said = hearing.said
        if hearing.gaps:
            said.tokens = tuple(self.tokenise(said.text, special=False))
        for name, key in (("prefill", "prompt_ms"), ("decode", "predicted_ms")):
            hearing.clock.add(name, float(hearing.timings.get(key, 0.0)) / 1000)


_OPTIONAL: tuple[tuple[str, ...], ...] = (
    ("--kv-unified",),
    ("--fit", "off"),
    ("--cache-ram", "0"),
    ("--mtmd-batch-max-tokens", "1"),
    ("--offline",),
    ("--no-jinja",),
)
"""Options that not every version has, and without which answers are the same or nearly."""


@lru_cache(8)
def _help(program: Path) -> str:
    """What a program says of its options; nothing where it can't be asked."""
    try:
        done = subprocess.run(
            [program, "--help"], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


class _Adapter(NamedTuple):
    """An adapter of the decoder."""

    path: Path
    scale: float
    captions: bool
    """Whether it is for captions alone."""


def _adapters(setup: Setup) -> list[_Adapter]:
    """The adapters in the server's order."""
    found = ((setup.lora, setup.lock.lora_scale, False), (setup.caption_lora, 1.0, True))
    return [_Adapter(path, scale, captions) for path, scale, captions in found if path is not None]


def _beside(adapters: Sequence[_Adapter]) -> Path | None:
    """The folder that the server is started in."""
    return adapters[0].path.absolute().parent if adapters else None


def _takes_parts(client: Client, ids: list[int]) -> bool:
    """Whether a server takes ids and pictures in order; others refuse to read that."""
    try:
        client.post("/completion", {"prompt": {"prompt_parts": [ids]}, "n_predict": 1, "temperature": 0})
    except EngineError:
        return False
    return True


def _continued(streamed: str, text: str) -> str:
    """What of a text was not streamed yet. Raises EngineError where something else was."""
    if not text.startswith(streamed):
        raise _otherwise(streamed)
    return text[len(streamed) :]


def _otherwise(streamed: str) -> EngineError:
    return EngineError(
        f"llama-server died after {len(streamed):,} characters of the answer and says something else now: ask again"
    )


class _Slots:
    """Which of the server's slots is whose; the least recently used goes first."""

    def __init__(self, count: int) -> None:
        self._owners: list[object] = [None] * count
        self._order = list(range(count))

    def of(self, owner: object) -> int:
        """The owner's slot, its own or one that is given to it now."""
        mine = [slot for slot in self._order if self._owners[slot] is owner]
        slot = mine[0] if mine else self._order[0]
        self._owners[slot] = owner
        self._order.remove(slot)
        self._order.append(slot)
        return slot

    def leave(self, owner: object) -> None:
        """Puts the owner's slot first in line."""
        for slot, each in enumerate(self._owners):
            if each is owner:
                self._owners[slot] = None
                self._order.remove(slot)
                self._order.insert(0, slot)


@dataclass
class _Hearing:
    """Listens to one answer."""

    request: Request
    room: int
    clock: Clock
    progress: Progress
    said: Said = field(default_factory=Said)
    timings: dict[str, Any] = field(default_factory=dict)
    gaps: bool = False
    """Whether some ids were not told."""

    def take(self, events: Generator[dict[str, Any], None, None]) -> Generator[None, None, None]:
        """Goes through the stream; stops for each event that may have brought text. Raises EngineError."""
        ids: list[int] = []
        count = 0
        for event in events:
            if "prompt_progress" in event:
                self._check(event["prompt_progress"])
            elif event.get("stop") is True:
                self._end(event, ids, count)
            elif event.get("tokens"):
                self.said.first = self.said.first or self.clock.elapsed()
                now = int(event.get("tokens_predicted", count + 1))
                if now <= self.room:
                    self.gaps = self.gaps or now != count + 1
                    ids.append(int(event["tokens"][-1]))
                    self.said.text += str(event.get("content", ""))
                    count = now
            yield

    def _check(self, seen: dict[str, Any]) -> None:
        total = int(seen["total"])
        if total != self.request.tokens:
            raise EngineError(
                f"llama-server reads the prompt as {total:,} tokens, {self.request.tokens:,} were planned: take the "
                f"llama-server of magicvl's archive, or --runtime inproc"
            )
        self.progress("prompt token", int(seen["processed"]), total)

    def _end(self, event: dict[str, Any], ids: list[int], count: int) -> None:
        said, self.timings = self.said, event.get("timings", {})
        said.cached = int(self.timings.get("cache_n", 0))
        said.ended = event.get("stop_type") == "eos"
        total = int(event.get("tokens_predicted", count))
        if said.ended and total <= self.room and count == total:
            # The last one is the end itself, which is not of the answer.
            del ids[-1]
        elif not said.ended and count < min(total, self.room):
            # It stopped inside a character.
            said.text += "\ufffd"
            self.gaps = True
        said.tokens = tuple(ids)
        said.count = min(total - said.ended, self.room)
