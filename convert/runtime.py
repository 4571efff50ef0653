"""The bundle's side of parity: the same questions as to the reference, answered by llama.cpp and libmtmd."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from magicvl.convert.reference import POSITIONS, Floats, Seen, Tile, block
from magicvl.edge.bundle import Bundle
from magicvl.edge.gguf_check import read_gguf
from magicvl.edge.llama import Adapter, Context, Model, Vision
from magicvl.edge.pair import check_lora, check_pair
from magicvl.edge.pixels import Pixels
from magicvl.edge.prompt import ask_messages
from magicvl.edge.request import Request, chat_template, open_and_cut, prepare
from magicvl.edge.watch import PATCHES, Watch


class Runtime:
    """A loaded bundle that shows what it computes. Close it, or use it in a `with`."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises BundleError before native code sees a file that is damaged or does not fit, EngineError."""
        bundle.verify()
        self.lock = bundle.lock
        self.threads = threads
        llm, mmproj = read_gguf(bundle.path("llm")), read_gguf(bundle.path("mmproj"))
        check_pair(self.lock, llm, mmproj)
        self._tokens = llm.texts("tokenizer.ggml.tokens")
        self._template = chat_template(llm)
        vision = self.lock.vision
        names = {"pos_embed": POSITIONS} | {f"layer_out-{i}": block(i) for i in range(vision.layers)}
        self._stages = names
        self._watch = Watch(names, vision.width, 3 * vision.patch**2)
        self._adapter: Adapter | None = None
        with ExitStack() as owned:
            self.model = owned.enter_context(Model(llm.path))
            if "lora" in self.lock.files:
                lora = read_gguf(bundle.path("lora"))
                check_lora(llm, lora)
                self._adapter = Adapter(lora.path, self.model, self.lock.lora_scale)
            grid = self.lock.grid
            self._vision = owned.enter_context(
                Vision(mmproj.path, self.model, grid.unit, grid.tile_tokens, threads, watch=self._watch)
            )
            self._owned = owned.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owned.close()

    def vocabulary(self) -> Mapping[int, str]:
        """Text of every token, as the file has it."""
        return dict(enumerate(self._tokens))

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text."""
        return self.model.tokenise(text, special=special)

    def see(self, picture: Image.Image, prompt: str, tokens: int) -> Seen:
        """The picture and the prompt as one user turn, answered with at most so many tokens."""
        request = self._prepare(picture, prompt)
        tiles = [self._encode(part) for part in request.parts if not isinstance(part, list)]
        with self._context(request.tokens + tokens) as context:
            self._push(context, request, [tile.embeddings for tile in tiles])
            logits, answer = context.logits(), list[int]()
            while len(answer) < tokens:
                answer.append(int(np.argmax(context.logits())))
                if self.model.ends(answer[-1]):
                    break
                context.push_tokens(answer[-1:], logits=True)
        return Seen(_ids(request, tiles), tiles, logits, answer)

    def logits(self, picture: Image.Image, prompt: str, embeddings: Sequence[Floats]) -> Floats:
        """Logits of the first token where the visual tokens are given: what the decoder alone makes of them."""
        request = self._prepare(picture, prompt)
        with self._context(request.tokens) as context:
            self._push(context, request, embeddings)
            return context.logits()

    def _prepare(self, picture: Image.Image, prompt: str) -> Request:
        seen = open_and_cut(picture, self.lock, None)
        return prepare(ask_messages(prompt, 1), [seen], self.lock, self.model, self._template)

    def _encode(self, tile: Pixels) -> Tile:
        height, width, _ = tile.shape
        self._watch.clear()
        embeddings = self._vision.encode(tile)
        found = self._watch.found
        pixels = found.get(PATCHES)
        blocks = {self._stages[name]: found[name] for name in self._stages if name in found}
        return Tile((width, height), self._pixels(tile, pixels), blocks, embeddings)

    def _pixels(self, tile: Pixels, patches: Floats | None) -> Floats:
        """The patches put together again; where the runtime shows none, what the lock says that they are."""
        height, width, _ = tile.shape
        side = self.lock.vision.patch
        if patches is None or patches.size != tile.size:
            mean, std = (np.asarray(each, np.float32) for each in (self.lock.picture.mean, self.lock.picture.std))
            return (tile.astype(np.float32) / np.float32(255) - mean) / std
        grid = patches.reshape(height // side, width // side, 3, side, side)
        return np.ascontiguousarray(grid.transpose(0, 3, 1, 4, 2).reshape(height, width, 3))

    def _context(self, size: int) -> Context:
        context = Context(self.model, size, self.threads)
        if self._adapter is not None:
            self._adapter.apply(context)
        return context

    def _push(self, context: Context, request: Request, embeddings: Sequence[Floats]) -> None:
        left = list(embeddings)
        for i, part in enumerate(request.parts):
            last = i == len(request.parts) - 1
            if isinstance(part, list):
                context.push_tokens(part, logits=last)
            else:
                context.push_embeddings(left.pop(0), logits=last)


def _ids(request: Request, tiles: Sequence[Tile]) -> list[int]:
    left, ids = list(tiles), list[int]()
    for part in request.parts:
        ids += part if isinstance(part, list) else [-1] * len(left.pop(0).embeddings)
    return ids


def bundle_types(bundle: Bundle) -> dict[str, str]:
    """The type of each half: what the converter wrote into the lock, else what most of its matrices have."""
    types = {}
    for role in ("llm", "mmproj"):
        if isinstance(named := bundle.lock.provenance.get(f"{role}_type"), str):
            types[role] = named
        else:
            types[role] = _commonest(bundle.path(role))
    return types


def _commonest(path: Path) -> str:
    kinds = [tensor.type for tensor in read_gguf(path).tensors.values() if len(tensor.shape) > 1]
    return max(set(kinds), key=kinds.count, default="F32")
