"""The runtime in this process: llama.cpp through llama-cpp-python, tile by tile and token by token."""

import codecs
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from magicvl.edge.answer import Options, Progress
from magicvl.edge.llama import (
    KEY_BLOCK,
    Adapter,
    Context,
    Floats,
    Model,
    Vision,
    apply_adapters,
    batches,
    library_build,
)
from magicvl.edge.memory import check_context, token_bytes
from magicvl.edge.picking import picker
from magicvl.edge.pixels import Pixels
from magicvl.edge.request import Request
from magicvl.edge.runtime import Clock, Said, Setup
from magicvl.edge.sequences import Element, SeenTile, Sequences, Slot
from magicvl.edge.tile_cache import TileCache, tile_key
from magicvl.errors import UsageError


class InProcess:
    """Model, encoder, context and tiles, owned and freed together."""

    exact = True
    """Any ids can be pushed."""

    def __init__(self, setup: Setup, tiles: TileCache) -> None:
        """Loads a checked bundle; `tiles` is closed with it. Raises EngineError, UsageError."""
        self._setup = setup
        self._token_bytes = token_bytes(setup.llm, setup.key_type)
        with ExitStack() as owned:
            owned.callback(tiles.close)
            self.model = owned.enter_context(Model(setup.llm.path))
            if setup.key_type != "f16" and self.model.key_width % KEY_BLOCK:
                raise UsageError(
                    f"keys in {setup.key_type}: this model's are {self.model.key_width} numbers wide, no multiple of "
                    f"{KEY_BLOCK}; keep f16"
                )
            lock = setup.lock
            self._adapters = [] if setup.lora is None else [Adapter(setup.lora, self.model, lock.lora_scale)]
            self.vision = owned.enter_context(
                Vision(setup.mmproj, self.model, lock.grid.unit, lock.grid.tile_tokens, setup.threads)
            )
            self.tiles = tiles
            self.sequences = Sequences(self.make_context, setup.sequences, setup.context)
            owned.callback(self.sequences.close)
            self._captions: Sequences | None = None
            owned.callback(self._close_captions)
            self._owned = owned.pop_all()
        self.build = library_build()
        self._encoder = f"{lock.files['mmproj'].sha256} {self.build}".encode()

    def close(self) -> None:
        """Frees everything."""
        self._owned.close()

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text; nothing is added. Only where `special` is set may it spell special tokens."""
        return self.model.tokenise(text, special=special)

    def make_context(self, size: int, sequences: int) -> Context:
        """A context of the decoder, adapter and all; the caller closes it. Raises EngineError where it does not fit."""
        return self._make_context(size, sequences, self._adapters)

    def _make_context(self, size: int, sequences: int, adapters: Sequence[Adapter]) -> Context:
        check_context(self._token_bytes, size)
        context = Context(self.model, size, self._setup.threads, sequences, self._setup.key_type)
        if adapters:
            apply_adapters(adapters, context)
        return context

    def _sequences_of(self, request: Request) -> Sequences:
        """Where a request is read: with the caption adapter keys and values are others, so they lie elsewhere."""
        if not request.captions or self._setup.caption_lora is None:
            return self.sequences
        if self._captions is None:
            # Loaded with the first film: who asks about pictures alone does not pay for it.
            check_context(self._token_bytes, request.tokens, adapter=self._setup.caption_lora.stat().st_size)
            adapters = [*self._adapters, Adapter(self._setup.caption_lora, self.model, 1.0)]
            self._captions = Sequences(
                lambda size, sequences: self._make_context(size, sequences, adapters), 1, self._setup.context
            )
        return self._captions

    def _close_captions(self) -> None:
        if self._captions is not None:
            self._captions.close()

    def answer(
        self, request: Request, options: Options, owner: object, room: int, clock: Clock, progress: Progress
    ) -> Generator[str, None, Said]:
        """See `magicvl.edge.runtime.Runtime`."""
        said, tokens = Said(), list[int]()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with picker(options, self.model) as picking:
            filled = self.prefill(request, owner, request.tokens + room, clock, progress)
            said.cached = filled.cached
            context = filled.context
            while True:
                with clock.measure("decode" if tokens else "first"):
                    token = picking.pick(context)
                said.first = said.first or clock.elapsed()
                if self.model.ends(token):
                    said.ended = True
                    break
                tokens.append(token)
                if piece := decoder.decode(self.model.piece(token)):
                    said.text += piece
                    yield piece
                if picking.complete():
                    said.ended = True
                    break
                if len(tokens) == room:
                    break
                with clock.measure("decode"):
                    context.push_tokens([token], logits=True)
                filled.slot.elements.append(token)
        if piece := decoder.decode(b"", final=True):
            said.text += piece
            yield piece
        said.tokens, said.count = tuple(tokens), len(tokens)
        return said

    def logits(self, request: Request, clock: Clock, progress: Progress) -> Floats:
        """Logits after a prompt: float32 (vocabulary,), with nothing taken over from before."""
        self.sequences.forget()
        return self.prefill(request, None, request.tokens, clock, progress).context.logits()

    def prefill(self, request: Request, owner: object, room: int, clock: Clock, progress: Progress) -> "Prefilled":
        """Feeds what is not held yet of a prompt to the context; makes the last one's logits."""
        elements = self._elements(request)
        context, slot, held = self._sequences_of(request).begin(owner, elements, room)
        cached = context.position
        number = tiles = 0

        def fed(what: Sequence[Element]) -> None:
            slot.elements.extend(what)
            progress("prompt token", context.position, request.tokens)

        for i, part in enumerate(request.parts):
            last = i == len(request.parts) - 1
            if isinstance(part, list):
                rest = part[max(0, held - number) :]
                for piece, ends in batches(len(rest)):
                    with clock.measure("prefill"):
                        context.push_tokens(rest[piece], logits=last and ends)
                    fed(rest[piece])
                number += len(part)
            else:
                seen = elements[number]
                assert isinstance(seen, SeenTile)
                if number >= held:
                    progress("tile", tiles, request.tiles)
                    with clock.measure("encode"):
                        embeddings = self._look(part, seen.key)
                    for piece, ends in batches(len(embeddings)):
                        with clock.measure("prefill"):
                            context.push_embeddings(embeddings[piece], logits=last and ends)
                        fed([seen] if ends else [])
                number, tiles = number + 1, tiles + 1
        return Prefilled(context, slot, cached)

    def look(self, tile: Pixels) -> Floats:
        """The visual tokens of a tile: float32 (tokens, width of the decoder)."""
        return self._look(tile, tile_key(tile, self._encoder))

    def leave(self, owner: object) -> None:
        """Gives up an owner's sequences."""
        self.sequences.leave(owner)

    def state(self, owner: object, most: int | None) -> tuple[list[Element], npt.NDArray[np.uint8]] | None:
        """What an owner's sequence holds, and its memory as bytes; see `Sequences.state`."""
        return self.sequences.state(owner, most)

    def restore(self, owner: object, elements: Sequence[Element], state: npt.NDArray[np.uint8]) -> bool:
        """Takes over what `state` gave, of this model and build; False where it is not taken."""
        return self.sequences.restore(owner, elements, state)

    def _elements(self, request: Request) -> list[Element]:
        elements: list[Element] = []
        for part in request.parts:
            if isinstance(part, list):
                elements.extend(part)
            else:
                tokens = part.shape[0] * part.shape[1] // self._setup.lock.grid.unit**2
                elements.append(SeenTile(tile_key(part, self._encoder), tokens))
        return elements

    def _look(self, tile: Pixels, key: bytes) -> Floats:
        """The visual tokens of a tile, looked at once."""
        found = self.tiles.get(key)
        if found is None:
            found = self.vision.encode(tile)
            self.tiles.put(key, found)
        return found


@dataclass(frozen=True)
class Prefilled:
    """A prompt that the decoder has read."""

    context: Context
    slot: Slot
    cached: int
    """Tokens of the prompt that were held already."""
