"""A stand-in for llama-server: a process that speaks its HTTP interface, and computes with llama-cpp-python.

It takes the options that we start llama-server with, and does what its source (tools/server) does with our requests.
What it shall do wrong is in the environment, see Faults.
"""

import argparse
import base64
import codecs
import dataclasses
import io
import json
import os
import re
import signal
import socketserver
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp
from PIL import Image

from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Adapter, Context, Follower, Model, Sampler, Vision, apply_adapters
from magicvl.edge.picking import GrammarPicker, Picker
from magicvl.edge.pixels import Pixels

MARKER = "<__media_standin__>"
AROUND = {"lfm2": ("<|image_start|>", "<|image_end|>"), "mlp": ("", "")}


@dataclasses.dataclass(frozen=True)
class Faults:
    """What goes wrong, from variables STANDIN_*."""

    parts: bool = os.environ.get("STANDIN_PARTS", "1") == "1"
    """Whether prompts of ids and pictures are taken, as our own builds do."""
    vision: bool = os.environ.get("STANDIN_VISION", "1") == "1"
    build: str = os.environ.get("STANDIN_BUILD", "b1-standin")
    loading: float = float(os.environ.get("STANDIN_LOADING", "0"))
    """Seconds of loading."""
    slow: float = float(os.environ.get("STANDIN_SLOW", "0"))
    """Seconds of each token of an answer."""
    die: str = os.environ.get("STANDIN_DIE", "")
    """N:FILE kills it after N tokens of an answer; where there is a FILE, once, and it is removed."""
    other: str = os.environ.get("STANDIN_OTHER", "")
    """A file; where it is, answers are made of the second best tokens."""


FAULTS = Faults()


class Slot:
    """A context and what it holds: ids, and pictures as their bytes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.held: list[int | bytes] = []
        self.scales: list[float] = []
        """Of the adapters that what is held was read with."""


class Machine:
    """The model, its eyes and its slots."""

    def __init__(self, options: argparse.Namespace) -> None:
        time.sleep(FAULTS.loading)
        self.owned = ExitStack()
        self.model = self.owned.enter_context(Model(options.model))
        self.projector = read_gguf(options.mmproj).text("clip.projector_type")
        most = options.image_max_tokens
        self.unit = int(os.environ.get("STANDIN_UNIT", "32"))
        self.vision = self.owned.enter_context(Vision(options.mmproj, self.model, self.unit, most, options.threads))
        self.options = options
        self.adapters = [
            Adapter(Path(name), self.model, float(scale))
            for name, _, scale in (each.rpartition(":") for each in filter(None, options.lora_scaled.split(",")))
        ]
        self.scales = [each.scale for each in self.adapters]
        self.slots = [self._slot() for _ in range(options.parallel)]
        self.encoded = 0

    def _slot(self) -> Slot:
        context = self.owned.enter_context(Context(self.model, self.options.ctx_size, self.options.threads))
        return Slot(context)

    def _adapt(self, slot: Slot, body: dict[str, Any]) -> None:
        """Sets the adapters of a request. As the original: only one that names its own forgets what others read."""
        scales = list(self.scales)
        if asked := body.get("lora"):
            named = {each["id"]: each["scale"] for each in asked}
            scales = [named.get(number, 0.0) for number in range(len(self.adapters))]
            slot.held = slot.held if scales == slot.scales else []
        for adapter, scale in zip(self.adapters, scales, strict=True):
            adapter.scale = scale
        slot.scales = scales
        apply_adapters(self.adapters, slot.context)

    def tokens_of(self, prompt: Any) -> list[int | bytes]:
        """Ids and pictures (PPM) in order."""
        if isinstance(prompt, list):
            return list(prompt)
        if "prompt_parts" in prompt and FAULTS.parts:
            found: list[int | bytes] = []
            for part in prompt["prompt_parts"]:
                found.extend(part if isinstance(part, list) else [base64.b64decode(part)])
            return found
        if "prompt_string" not in prompt:
            raise ValueError('"prompt" elements must be a string, a list of tokens, a JSON object containing ...')
        before, after = (self.model.tokenise(text, special=True) for text in AROUND[self.projector])
        pictures = [base64.b64decode(each) for each in prompt["multimodal_data"]]
        texts = prompt["prompt_string"].split(MARKER)
        assert len(texts) == len(pictures) + 1
        found = self.bos()
        for text, picture in zip(texts, [*pictures, None], strict=True):
            found.extend(self.model.tokenise(text, special=True))
            found.extend([] if picture is None else [*before, picture, *after])
        return found

    def bos(self) -> list[int | bytes]:
        """What every text begins with."""
        vocabulary = self.model.vocabulary
        return [llama_cpp.llama_vocab_bos(vocabulary)] if llama_cpp.llama_vocab_get_add_bos(vocabulary) else []

    def count(self, element: int | bytes) -> int:
        """Tokens of an id or a picture."""
        return 1 if isinstance(element, int) else pixels(element).shape[0] * pixels(element).shape[1] // self.unit**2

    def answer(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a completion."""
        prompt = self.tokens_of(body["prompt"])
        total = sum(map(self.count, prompt))
        slot = self.slots[body.get("id_slot", 0)]
        self._adapt(slot, body)
        began = time.perf_counter()
        same = next((i for i, (a, b) in enumerate(zip(slot.held, prompt, strict=False)) if a != b), None)
        kept = min(len(slot.held), len(prompt) - 1) if same is None else min(same, len(prompt) - 1)
        cached = sum(map(self.count, prompt[:kept]))
        if total >= self.options.ctx_size:
            raise ValueError(f"the request exceeds the available context size ({self.options.ctx_size})")
        assert slot.context.select(0, cached)
        slot.held = prompt[:kept]
        done = cached
        for element in prompt[kept:]:
            if isinstance(element, int):
                slot.context.push_tokens([element], logits=True)
            else:
                self.encoded += 1
                slot.context.push_embeddings(self.vision.encode(pixels(element)), logits=True)
            slot.held.append(element)
            done += self.count(element)
            if not isinstance(element, int) or done == total:
                progress = {"total": total, "cache": cached, "processed": done, "time_ms": 1}
                yield {"content": "", "tokens": [-1], "stop": False, "tokens_predicted": 0, "prompt_progress": progress}
        prefilled = time.perf_counter()
        yield from self._say(slot, body, cached, 1000 * (prefilled - began))

    def _say(self, slot: Slot, body: dict[str, Any], cached: int, prompt_ms: float) -> Iterator[dict[str, Any]]:
        began = time.perf_counter()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        count, reason, held = 0, "limit", ""
        with ExitStack() as owned:
            sampler = None
            if body["temperature"] > 0:
                top_p = body["top_p"] if "top_p" in body["samplers"] else None
                sampler = owned.enter_context(Sampler(body["temperature"], top_p, body["seed"]))
            picker = Picker(sampler)
            if body.get("grammar"):
                picker = GrammarPicker(sampler, self.model, owned.enter_context(Follower(self.model, body["grammar"])))
            while count < body["n_predict"]:
                token = self._pick(picker, slot.context)
                count += 1
                self._die_after(count)
                time.sleep(FAULTS.slow)
                held += decoder.decode(b"" if self.model.ends(token) else self.model.piece(token))
                # Nothing is said while a character is not whole, and then only the last token's id.
                if not decoder.getstate()[0]:
                    yield {"content": held, "tokens": [token], "stop": False, "tokens_predicted": count}
                    held = ""
                if self.model.ends(token):
                    reason = "eos"
                    break
                if count < body["n_predict"]:
                    slot.context.push_tokens([token], logits=True)
                    slot.held.append(token)
        timings = {"cache_n": cached, "prompt_ms": prompt_ms, "predicted_ms": 1000 * (time.perf_counter() - began)}
        final = {"content": "", "tokens": [], "stop": True, "stop_type": reason, "tokens_predicted": count}
        yield final | {"timings": timings}

    @staticmethod
    def _pick(picker: Picker, context: Context) -> int:
        if FAULTS.other and os.path.exists(FAULTS.other):
            return int(np.argsort(context.logits())[-2])
        return picker.pick(context)

    @staticmethod
    def _die_after(count: int) -> None:
        if not FAULTS.die:
            return
        after, _, flag = FAULTS.die.partition(":")
        if count > int(after) and (not flag or os.path.exists(flag)):
            if flag:
                os.remove(flag)
            os.kill(os.getpid(), signal.SIGKILL)


def pixels(picture: bytes) -> Pixels:
    """A PPM picture."""
    return np.asarray(Image.open(io.BytesIO(picture), formats=["PPM"]).convert("RGB"))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    machine: Machine

    def address_string(self) -> str:
        """A Unix socket has no name of the other side."""
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """/health and /props."""
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self._known():
            build = {"build_info": FAULTS.build, "modalities": {"vision": FAULTS.vision}, "media_marker": MARKER}
            self._send(200, build)

    def do_POST(self) -> None:
        """/tokenize and /completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._known():
            return
        if self.path == "/tokenize":
            ids = self.machine.model.tokenise(body["content"], special=body["parse_special"])
            self._send(200, {"tokens": (self.machine.bos() if body["add_special"] else []) + ids})
            return
        try:
            events = self.machine.answer({"temperature": 0, "samplers": [], **body})
            first = next(events)
        except ValueError as error:
            self._send(400, {"error": {"code": 400, "message": str(error), "type": "invalid_request_error"}})
            return
        if not body.get("stream"):
            *_, last = events
            self._send(200, last)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._chunk(b":\n\n")
            self._event(first)
            for event in events:
                self._event(event)
            self._chunk(b"")
        except OSError:
            self.close_connection = True

    def _event(self, event: dict[str, Any]) -> None:
        # In pieces that cut characters, as a network does.
        data = b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
        for piece in re.findall(rb".{1,7}", data, re.DOTALL):
            self._chunk(piece)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _known(self) -> bool:
        known = self.headers.get("Authorization") == f"Bearer {os.environ['LLAMA_API_KEY']}"
        if not known:
            self._send(401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}})
        return known

    def _send(self, status: int, found: object) -> None:
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(socketserver.UnixStreamServer):
    """One connection after the other: native code is not shared between threads."""

    def get_request(self) -> Any:
        """The client's address is a name that is not there."""
        connection, _ = super().get_request()
        return connection, ("unix", 0)


def parse(arguments: list[str]) -> argparse.Namespace:
    """llama-server's options, as far as they are ours."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    kinds: dict[str, Callable[[str], Any]] = {"host": str, "model": Path, "mmproj": Path, "threads": int}
    kinds |= {"ctx-size": int, "parallel": int, "image-max-tokens": int, "lora-scaled": str}
    ignored = ("threads-batch", "batch-size", "ubatch-size", "flash-attn", "cache-type-k", "gpu-layers", "cache-ram")
    for name in (*ignored, "image-min-tokens", "fit", "mtmd-batch-max-tokens"):
        kinds[name] = str
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind, default="" if name == "lora-scaled" else None)
    flags = ("no-mmproj-offload", "no-context-shift", "no-warmup", "no-slots", "no-webui", "kv-unified", "offline")
    for flag in (*flags, "no-jinja"):
        parser.add_argument(f"--{flag}", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    given = parse(sys.argv[1:])
    if os.environ.get("STANDIN_FAIL"):
        sys.exit("error: failed to load the model, as it was told")
    Handler.machine = Machine(given)
    with Server(given.host, Handler) as server:
        server.serve_forever()
