"""A question to a pair of GGUF files through stock libmtmd alone, with its own preprocessing, timed by stage.

Nothing of our engine computes here: libmtmd opens, resizes and cuts the picture, encodes each piece and feeds it to
llama_decode, with llama.cpp's own defaults.
"""

import ctypes
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp, mtmd_cpp
from PIL import Image

from magicvl.edge.llama import Model
from magicvl.errors import EngineError

Cut = Callable[[Image.Image], list[Image.Image]]
"""Cuts a picture into what libmtmd is given one by one."""

FRAME = "<|im_start|>user\n{pictures}{question}<|im_end|>\n<|im_start|>assistant\n"
"""The chat that magicvl.bench.shape_words.TEMPLATE writes."""


@dataclass(frozen=True)
class Stages:
    """What a question took."""

    visual_tokens: int
    text_tokens: int
    encode_s: float
    """Opening the file, resizing, cutting and encoding."""
    prefill_s: float
    decode_s: float
    """All tokens after the first."""
    answered: int
    """Tokens of the answer."""


class Stock:
    """A loaded pair."""

    def __init__(self, llm: Path, mmproj: Path, threads: int) -> None:
        """Raises EngineError where llama.cpp refuses a file."""
        self._owned = ExitStack()
        self.threads = threads
        self.model = self._owned.enter_context(Model(llm))
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = params.print_timings = params.warmup = False
        params.n_threads = threads
        self._vision: Any = mtmd_cpp.mtmd_init_from_file(bytes(mmproj), self.model.pointer, params)
        if not self._vision:
            raise EngineError(f"{mmproj}: libmtmd cannot load this encoder")
        self._owned.callback(mtmd_cpp.mtmd_free, self._vision)

    def __enter__(self) -> "Stock":
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def ask(self, picture: bytes, question: str, tokens: int, cut: Cut | None = None) -> Stages:
        """Asks for `tokens` tokens about a picture's file; `cut` in place of libmtmd's own cutting."""
        clock = _Clock()
        with ExitStack() as owned:
            with clock.measure("encode"):
                bitmaps = self._open(picture, cut, owned)
                chunks = self._chunks(question, bitmaps, owned)
            total = int(mtmd_cpp.mtmd_helper_get_n_tokens(chunks))
            with clock.measure("prefill"):
                context = self._context(total + tokens, owned)
            visual, text, place = self._read(context, chunks, clock, apart=cut is None)
            with clock.measure("decode"):
                answered = self._answer(context, place, tokens)
        return Stages(visual, text, clock.s["encode"], clock.s["prefill"], clock.s["decode"], answered)

    def _open(self, picture: bytes, cut: Cut | None, owned: ExitStack) -> list[Any]:
        if cut is None:
            data = (ctypes.c_uint8 * len(picture)).from_buffer_copy(picture)
            bitmaps = [mtmd_cpp.mtmd_helper_bitmap_init_from_buf(self._vision, data, len(picture), False)]
        else:
            bitmaps = [_bitmap(piece) for piece in cut(Image.open(io.BytesIO(picture)).convert("RGB"))]
        if not all(bitmaps):
            raise EngineError("libmtmd cannot open the picture")
        for bitmap in bitmaps:
            owned.callback(mtmd_cpp.mtmd_bitmap_free, bitmap)
        return bitmaps

    def _chunks(self, question: str, bitmaps: list[Any], owned: ExitStack) -> Any:
        marker = mtmd_cpp.mtmd_default_marker().decode()
        prompt = FRAME.format(pictures=marker * len(bitmaps), question=question).encode()
        text = mtmd_cpp.mtmd_input_text(prompt, len(prompt), True, True)
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        owned.callback(mtmd_cpp.mtmd_input_chunks_free, chunks)
        array = (mtmd_cpp.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
        if mtmd_cpp.mtmd_tokenize(self._vision, chunks, ctypes.byref(text), array, len(bitmaps)):
            raise EngineError("libmtmd cannot take the picture")
        return chunks

    def _context(self, size: int, owned: ExitStack) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = 2048
        params.n_threads = params.n_threads_batch = self.threads
        params.no_perf = True
        context = llama_cpp.llama_init_from_model(self.model.pointer, params)
        if not context:
            raise EngineError(f"llama.cpp cannot make a context of {size:,} tokens")
        owned.callback(llama_cpp.llama_free, context)
        return context

    def _read(self, context: Any, chunks: Any, clock: "_Clock", *, apart: bool) -> tuple[int, int, int]:
        """Feeds the prompt; gives its visual tokens, its text tokens and the next position.

        Without `apart` pieces stand side by side: what libmtmd puts around each of several pictures is left out
        between them.
        """
        found = [mtmd_cpp.mtmd_input_chunks_get(chunks, i) for i in range(mtmd_cpp.mtmd_input_chunks_size(chunks))]
        seen = [mtmd_cpp.mtmd_input_chunk_get_type(chunk) != mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT for chunk in found]
        first, last = seen.index(True), len(seen) - 1 - seen[::-1].index(True)
        visual, text, place = 0, 0, llama_cpp.llama_pos(0)
        for i, chunk in enumerate(found):
            count = int(mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk))
            if seen[i]:
                visual += count
                self._see(context, chunk, place, clock)
            elif apart or not first < i < last:
                text += count
                with clock.measure("prefill"):
                    status = mtmd_cpp.mtmd_helper_eval_chunk_single(
                        self._vision, context, chunk, place.value, 0, 2048, i == len(found) - 1, ctypes.byref(place)
                    )
                _check(status, "read the words")
        return visual, text, int(place.value)

    def _see(self, context: Any, chunk: Any, place: Any, clock: "_Clock") -> None:
        with clock.measure("encode"):
            status = mtmd_cpp.mtmd_encode_chunk(self._vision, chunk)
        _check(status, "encode the picture")
        with clock.measure("prefill"):
            embeddings = mtmd_cpp.mtmd_get_output_embd(self._vision)
            status = mtmd_cpp.mtmd_helper_decode_image_chunk(
                self._vision, context, chunk, embeddings, place.value, 0, 2048, ctypes.byref(place), _NO_CALLBACK, None
            )
        _check(status, "read the picture")

    def _answer(self, context: Any, place: int, tokens: int) -> int:
        """Greedy, whatever comes, so that every model says as much."""
        batch = llama_cpp.llama_batch_init(1, 0, 1)
        try:
            for i in range(tokens - 1):
                logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (self.model.tokens,))
                batch.n_tokens, batch.token[0], batch.pos[0] = 1, int(logits.argmax()), place + i
                batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, 1
                _check(llama_cpp.llama_decode(context, batch), "go on with the answer")
        finally:
            llama_cpp.llama_batch_free(batch)
        return tokens


_NO_CALLBACK = mtmd_cpp.mtmd_helper_post_decode_callback()


def _bitmap(piece: Image.Image) -> Any:
    pixels = np.ascontiguousarray(piece, dtype=np.uint8)
    return mtmd_cpp.mtmd_bitmap_init(*piece.size, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))


def _check(status: int, what: str) -> None:
    if status:
        raise EngineError(f"llama.cpp cannot {what} (status {status})")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.s[stage] += time.perf_counter() - started
