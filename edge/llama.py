"""llama.cpp and its libmtmd, as three Python objects: Model, Context, Vision.

A thin layer over the ctypes functions of llama-cpp-python (names and signatures as in `llama.h` and
`mtmd.h`). What it adds: errors as EngineError with the library's own last words, silence otherwise,
NumPy arrays instead of pointers, everything freed exactly once, and Ctrl-C that waits for the native call.
"""

import ctypes
import os
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from magicvl.edge.decoding import BATCH, composed
from magicvl.edge.library import library_folder, load_backends, point_at, supported_platform
from magicvl.edge.pixels import Pixels
from magicvl.errors import EngineError

# libgomp, which ggml's threads meet in, reads this when it is loaded. Its default spins for milliseconds at
# every barrier: on a machine with other work, 60 times slower. 1000 is its own choice where it sees more
# threads than cores. Whoever has set either variable keeps what was set.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_folder = library_folder()
if _folder is not None:
    point_at(_folder)

with supported_platform():
    from llama_cpp import __version__ as llama_cpp_version
    from llama_cpp import llama_cpp, mtmd_cpp

Floats = npt.NDArray[np.float32]
LIBRARY: Final = llama_cpp._lib
"""The loaded libllama, for what llama-cpp-python does not name (magicvl.edge.ggml)."""

KEY_TYPES: Final = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}
"""Types of the keys that a context holds. Its values stay F16: others need flash attention, see Context."""
KEY_BLOCK = 32
"""Numbers of a block of Q8_0: a head's width must be a multiple."""

_LEVEL_ERROR = 4
_words: deque[str] = deque(maxlen=3)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    if level == _LEVEL_ERROR and (line := text.decode("utf-8", "replace").strip()):
        _words.append(line)


# The callback is a module's global: the libraries keep its address for good.
llama_cpp.llama_log_set(_log, None)
mtmd_cpp.mtmd_log_set(_log, None)
mtmd_cpp.mtmd_helper_log_set(_log, None)
llama_cpp.llama_backend_init()
if _folder is not None:
    load_backends(LIBRARY, _folder)


def library_build() -> str:
    """What decides the last bits of a result beside the weights: the library's version and what it uses of the CPU."""
    return f"{llama_cpp_version} {llama_cpp.llama_print_system_info().decode()}"


def _error(text: str) -> EngineError:
    """An error with what the libraries said last."""
    words = "; ".join(_words)
    _words.clear()
    return EngineError(f"{text} ({words})" if words else text)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C back until a native call is over.

    Python would raise KeyboardInterrupt inside the log callback, where ctypes can only print and lose it,
    or between a native object's birth and the line that keeps its address.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[0])


class _Owner:
    """Owns native objects and frees them, last first, once: by close(), garbage collection or at exit."""

    def __init__(self) -> None:
        self._owned = ExitStack()
        self._finalizer = weakref.finalize(self, self._owned.close)

    def own(self, free: Callable[[Any], None], pointer: Any) -> Any:
        self._owned.callback(free, pointer)
        return pointer

    def close(self) -> None:
        """Frees everything; the object is of no use afterwards."""
        with _uninterrupted():
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Model(_Owner):
    """The decoder's weights and vocabulary."""

    exact = True
    """Any ids can be pushed, see `magicvl.edge.runtime.Tokeniser`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        # Builds with AMX may crash in it (ggml-org/llama.cpp, issue 20824), and a crash can't be caught: plain buffers
        # keep its code out.
        params.use_extra_bufts = "AMX_INT8 = 1" not in library_build()
        with _uninterrupted():
            pointer = llama_cpp.llama_model_load_from_file(bytes(path), params)
            if not pointer:
                raise _error(f"{path}: llama.cpp cannot load this model")
            self.pointer: Final = self.own(llama_cpp.llama_model_free, pointer)
        self.vocabulary: Final = llama_cpp.llama_model_get_vocab(pointer)
        self.width: Final[int] = llama_cpp.llama_model_n_embd_inp(pointer)
        self.tokens: Final[int] = llama_cpp.llama_vocab_n_tokens(self.vocabulary)
        self._pre_tokenizer: Final = self._value("tokenizer.ggml.pre")

    def _value(self, key: str) -> str:
        """The first characters of a metadata value; empty where there is none."""
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else ""

    @property
    def key_width(self) -> int:
        """Numbers of one head's key."""
        stored = self._value(f"{self._value('general.architecture')}.attention.key_length")
        shared = llama_cpp.llama_model_n_embd(self.pointer) // max(1, llama_cpp.llama_model_n_head(self.pointer))
        return int(stored or shared)

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text; nothing is added. Only where `special` is set may it spell special tokens."""
        data = composed(text, self._pre_tokenizer).encode("utf-8", "replace")
        # No token is shorter than a byte; some vocabularies put a space in front.
        room = len(data) + 8
        ids = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), ids, room, False, special)
        if count < 0:
            raise _error(f"llama.cpp cannot tokenise a text of {len(data):,} bytes")
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        for room in (64, 65536):
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_token_to_piece(self.vocabulary, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
        raise _error(f"llama.cpp cannot spell token {token}")

    @property
    def end_token(self) -> int:
        """The token that ends a turn, or a text where there is no other; -1 without either."""
        turn = int(llama_cpp.llama_vocab_eot(self.vocabulary))
        return turn if turn >= 0 else int(llama_cpp.llama_vocab_eos(self.vocabulary))

    def ends(self, token: int) -> bool:
        """Whether a token ends the answer."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocabulary, token))


class Context(_Owner):
    """Sequences in the making: keys and values of what was pushed so far. One of them is gone on with at a time."""

    def __init__(self, model: Model, size: int, threads: int, sequences: int = 1, keys: str = "f16") -> None:
        """Makes room for `size` tokens of `sequences` sequences together; the first of them is selected.

        `keys` is one of KEY_TYPES; a head's keys must be whole blocks of it.
        """
        super().__init__()
        self.model = model
        self.sequence = 0
        self.position = 0
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = sequences
        # One memory for all: what two sequences share is held once, and none of them has a fixed part.
        params.kv_unified = True
        params.type_k = KEY_TYPES[keys]
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        # Over thousands of visual tokens it adds up in F16: logits were off by 5 % of their spread, 0.1 % without.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        with _uninterrupted():
            pointer = llama_cpp.llama_init_from_model(model.pointer, params)
            if not pointer:
                raise _error(f"llama.cpp cannot make a context of {size:,} tokens")
            self.pointer: Final = self.own(llama_cpp.llama_free, pointer)
        self.size: Final[int] = llama_cpp.llama_n_ctx(pointer)

    @property
    def _memory(self) -> Any:
        return llama_cpp.llama_get_memory(self.pointer)

    def clear(self) -> None:
        """Forgets all sequences and selects the first."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self.sequence = self.position = 0

    def select(self, sequence: int, keep: int) -> bool:
        """Goes on with a sequence after its first `keep` tokens; what it has beyond is forgotten.

        False where the memory can't be cut there (recurrent decoders): then the sequence is empty.
        """
        cut = bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, keep, -1))
        # What a recurrent memory holds ends where it ends: it may not reach as far as `keep`.
        there = llama_cpp.llama_memory_seq_pos_max(self._memory, sequence) + 1
        kept = cut and there == keep
        if not kept:
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self.sequence, self.position = sequence, keep if kept else 0
        return kept

    def copy(self, source: int, target: int) -> None:
        """Makes `target` the same sequence as `source`; they share what they have in common."""
        llama_cpp.llama_memory_seq_rm(self._memory, target, -1, -1)
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def state_size(self, sequence: int) -> int:
        """Bytes of a sequence's memory."""
        return int(llama_cpp.llama_state_seq_get_size(self.pointer, sequence))

    def state(self, sequence: int) -> npt.NDArray[np.uint8]:
        """A sequence's memory as bytes that `restore` takes."""
        size = self.state_size(sequence)
        state = np.empty(size, dtype=np.uint8)
        with _uninterrupted():
            written = llama_cpp.llama_state_seq_get_data(self.pointer, _bytes_of(state), size, sequence)
        if written != size:
            raise _error(f"llama.cpp wrote {written:,} of {size:,} bytes of a sequence")
        return state

    def restore(self, sequence: int, state: npt.NDArray[np.uint8]) -> bool:
        """Fills a sequence from what `state` gave, of this model and build; False where there is no room for it."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        with _uninterrupted():
            read = llama_cpp.llama_state_seq_set_data(self.pointer, _bytes_of(state), len(state), sequence)
        if read != len(state):
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            _words.clear()
        return bool(read == len(state))

    def repeat(self, state: npt.NDArray[np.uint8]) -> bool:
        """Puts what `state` gave into the first sequence once more, at the same positions; False without room.

        Needs a second sequence. For measuring alone: what follows attends to all copies.
        """
        if not self.restore(1, state):
            return False
        llama_cpp.llama_memory_seq_cp(self._memory, 1, 0, -1, -1)
        llama_cpp.llama_memory_seq_rm(self._memory, 1, -1, -1)
        return True

    def push_tokens(self, tokens: Sequence[int], *, logits: bool = False) -> None:
        """Appends tokens to the selected sequence; `logits` asks for those of the last one."""
        ids = np.asarray(tokens, dtype=np.int32)
        for piece, ends in batches(len(ids)):
            part = ids[piece]
            batch = llama_cpp.llama_batch(
                n_tokens=len(part), token=part.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
            )
            self._decode(batch, logits and ends)

    def push_scored(self, tokens: Sequence[int]) -> npt.NDArray[np.float64]:
        """Appends tokens; the log probability of each but the first, after those before it: float64 (tokens - 1,)."""
        scores = [np.empty(0)]
        following = np.asarray([*tokens[1:], 0], dtype=np.int32)
        ids = np.asarray(tokens, dtype=np.int32)
        for piece, _ in batches(len(ids)):
            part = ids[piece]
            pointer = part.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
            self._decode(llama_cpp.llama_batch(n_tokens=len(part), token=pointer), logits=True, every=True)
            scores.append(np.array([self._score(row, token) for row, token in enumerate(following[piece].tolist())]))
        return np.concatenate(scores)[:-1]

    def _score(self, row: int, token: int) -> float:
        """The log probability of a token behind one of those pushed last."""
        pointer = llama_cpp.llama_get_logits_ith(self.pointer, row)
        if not pointer:
            raise _error(f"llama.cpp has no logits for token {row}")
        values = np.ctypeslib.as_array(pointer, (self.model.tokens,)).astype(np.float64)
        most = values.max()
        return float(values[token] - most - np.log(np.exp(values - most).sum()))

    def push_embeddings(self, embeddings: Floats, *, logits: bool = False) -> None:
        """Appends visual tokens of shape (tokens, width); `logits` asks for those of the last one."""
        if embeddings.ndim != 2 or embeddings.shape[1] != self.model.width:
            raise EngineError(f"embeddings of shape {embeddings.shape}, the model is {self.model.width} wide")
        rows = np.ascontiguousarray(embeddings, dtype=np.float32)
        for piece, ends in batches(len(rows)):
            part = rows[piece]
            batch = llama_cpp.llama_batch(n_tokens=len(part), embd=part.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
            self._decode(batch, logits and ends)

    def _decode(self, batch: Any, logits: bool, every: bool = False) -> None:
        """Decodes a batch; `logits` keeps those of the last token, `every` of all."""
        count = batch.n_tokens
        positions = np.arange(self.position, self.position + count, dtype=np.int32)
        wanted = np.full(count, every, dtype=np.int8)
        wanted[-1] = logits
        batch.pos = positions.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos))
        batch.logits = wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))
        each = np.ones(count, dtype=np.int32)
        sequence = ctypes.pointer(llama_cpp.llama_seq_id(self.sequence))
        sequences = (ctypes.POINTER(llama_cpp.llama_seq_id) * count)(*[sequence] * count)
        batch.n_seq_id = each.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        batch.seq_id = ctypes.cast(sequences, ctypes.POINTER(ctypes.POINTER(llama_cpp.llama_seq_id)))
        with _uninterrupted():
            status = llama_cpp.llama_decode(self.pointer, batch)
        if status:
            raise _error(f"llama.cpp cannot decode {count} tokens at {self.position} of {self.size} (status {status})")
        self.position += count

    def logits(self) -> Floats:
        """Logits of the last pushed token, (vocabulary,). EngineError where one is not finite."""
        pointer = llama_cpp.llama_get_logits_ith(self.pointer, -1)
        if not pointer:
            raise _error("llama.cpp has no logits for the last token")
        values: Floats = np.ctypeslib.as_array(pointer, (self.model.tokens,)).copy()
        if not np.isfinite(values).all():
            raise EngineError(
                f"the decoder gave numbers that are not finite after {self.position} tokens; convert it "
                f"again, with a larger type"
            )
        return values


def batches(count: int) -> Iterator[tuple[slice, bool]]:
    """The slices in which `count` tokens go through the decoder, and whether each is the last."""
    for begin in range(0, count, BATCH):
        yield slice(begin, begin + BATCH), begin + BATCH >= count


def _bytes_of(data: npt.NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


class Adapter:
    """A LoRA of the decoder. It lives in its model, which frees it."""

    def __init__(self, path: Path, model: Model, scale: float) -> None:
        """`scale` multiplies what the file says of itself, alpha / rank."""
        self.path = path
        self.scale = scale
        with _uninterrupted():
            self.pointer: Final = llama_cpp.llama_adapter_lora_init(model.pointer, bytes(path))
        if not self.pointer:
            raise _error(f"{path}: llama.cpp cannot load this adapter")

    def apply(self, context: Context) -> None:
        """Adds the adapter alone to all that the context computes from now on."""
        apply_adapters([self], context)


def apply_adapters(adapters: Sequence[Adapter], context: Context) -> None:
    """Adds adapters to all that the context computes from now on, in place of those that it had."""
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*(each.pointer for each in adapters))
    scales = (ctypes.c_float * len(adapters))(*(each.scale for each in adapters))
    with _uninterrupted():
        status = llama_cpp.llama_set_adapters_lora(context.pointer, pointers, len(adapters), scales)
    if status:
        names = " and ".join(str(each.path) for each in adapters)
        raise _error(f"{names}: llama.cpp cannot apply this adapter (status {status})")


class Sampler(_Owner):
    """Picks tokens at random by their logits: llama.cpp's top-p, temperature and seeded distribution."""

    def __init__(self, temperature: float, top_p: float | None, seed: int) -> None:
        super().__init__()
        params = llama_cpp.llama_sampler_chain_default_params()
        with _uninterrupted():
            self.pointer = self.own(llama_cpp.llama_sampler_free, llama_cpp.llama_sampler_chain_init(params))
            # The chain frees what is added to it.
            if top_p is not None:
                llama_cpp.llama_sampler_chain_add(self.pointer, llama_cpp.llama_sampler_init_top_p(top_p, 1))
            llama_cpp.llama_sampler_chain_add(self.pointer, llama_cpp.llama_sampler_init_temp(temperature))
            llama_cpp.llama_sampler_chain_add(self.pointer, llama_cpp.llama_sampler_init_dist(seed))

    def sample(self, context: Context) -> int:
        """A token by the logits of the last one pushed."""
        return int(llama_cpp.llama_sampler_sample(self.pointer, context.pointer, -1))

    def draw(self, tokens: npt.NDArray[np.int_], logits: Floats) -> int:
        """One of some tokens by their logits."""
        return int(_apply(self.pointer, tokens, logits)[1])


class Follower(_Owner):
    """Follows a grammar along an answer, and knows what may come next."""

    def __init__(self, model: Model, gbnf: str) -> None:
        """`gbnf` is a grammar of our own making (magicvl.edge.gbnf): llama.cpp's parser is no guard."""
        super().__init__()
        with _uninterrupted():
            pointer = llama_cpp.llama_sampler_init_grammar(model.vocabulary, gbnf.encode(), b"root")
            if not pointer:
                raise _error("llama.cpp cannot follow this grammar")
            self.pointer: Final = self.own(llama_cpp.llama_sampler_free, pointer)

    def allowed(self, tokens: npt.NDArray[np.int_]) -> npt.NDArray[np.bool_]:
        """Which of the tokens may come next: bool, of their shape."""
        data, _ = _apply(self.pointer, tokens, np.zeros(len(tokens), dtype=np.float32))
        allowed: npt.NDArray[np.bool_] = data["logit"] == 0
        return allowed

    def accept(self, token: int) -> None:
        """Goes on by a token that is allowed and ends nothing; any other one would end the process."""
        llama_cpp.llama_sampler_accept(self.pointer, token)


_CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def _apply(sampler: Any, tokens: npt.NDArray[np.int_], logits: Floats) -> tuple[npt.NDArray[np.void], int]:
    """A sampler's view of some tokens: the candidates, in its order, and the token that it selected, or -1."""
    data = np.zeros(len(tokens), dtype=_CANDIDATE)
    data["id"], data["logit"] = tokens, logits
    pointer = data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    candidates = llama_cpp.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(candidates))
    return data, int(data["id"][candidates.selected]) if candidates.selected >= 0 else -1


class Vision(_Owner):
    """Encoder and projector: a tile in, visual tokens out."""

    def __init__(
        self, path: Path, model: Model, unit: int, most: int, threads: int, *, watch: Any | None = None
    ) -> None:
        """`unit` is the side of a visual token in px, `most` how many of them the largest tile has.

        `watch` sees what the graph computes (magicvl.edge.watch).
        """
        super().__init__()
        self.model = model
        self.unit = unit
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = False
        params.print_timings = False
        params.warmup = False
        params.n_threads = threads
        # Within these limits libmtmd leaves a tile's size alone.
        params.image_min_tokens = 1
        params.image_max_tokens = most
        # The library calls it for as long as it lives.
        self._watch: Final = watch
        if watch is not None:
            params.cb_eval = watch.callback
        with _uninterrupted():
            pointer = mtmd_cpp.mtmd_init_from_file(bytes(path), model.pointer, params)
            if not pointer:
                raise _error(f"{path}: libmtmd cannot load this encoder")
            self.pointer: Final = self.own(mtmd_cpp.mtmd_free, pointer)
        if not mtmd_cpp.mtmd_support_vision(pointer):
            raise EngineError(f"{path}: no encoder of pictures")
        if mtmd_cpp.mtmd_decode_use_mrope(pointer) or mtmd_cpp.mtmd_decode_use_non_causal(pointer, None):
            raise EngineError(f"{path}: the decoder wants 2-D positions or two-way attention, which magicvl has not")

    def encode(self, tile: Pixels) -> Floats:
        """Visual tokens of one tile: uint8 RGB (height, width, 3) in, float32 (tokens, width) out.

        Both sides are multiples of the unit. Raises EngineError, for numbers that are not finite too.
        """
        height, width, _ = tile.shape
        pixels = np.ascontiguousarray(tile, dtype=np.uint8)
        with ExitStack() as owned, _uninterrupted():
            bitmap = mtmd_cpp.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
            owned.callback(mtmd_cpp.mtmd_bitmap_free, bitmap)
            chunks = mtmd_cpp.mtmd_input_chunks_init()
            owned.callback(mtmd_cpp.mtmd_input_chunks_free, chunks)
            chunk = self._image_chunk(chunks, bitmap)
            count = int(mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk))
            planned = (width // self.unit) * (height // self.unit)
            if count != planned:
                raise EngineError(
                    f"libmtmd makes {count} tokens of a tile of {width} x {height} px, {planned} were planned"
                )
            if mtmd_cpp.mtmd_encode_chunk(self.pointer, chunk):
                raise _error(f"libmtmd cannot encode a tile of {width} x {height} px")
            found = mtmd_cpp.mtmd_get_output_embd(self.pointer)
            embeddings: Floats = np.ctypeslib.as_array(found, (count, self.model.width)).copy()
        if not np.isfinite(embeddings).all():
            raise EngineError(
                f"the encoder gave numbers that are not finite for a tile of {width} x {height} px; "
                f"convert it again, with a larger type"
            )
        return embeddings

    def _image_chunk(self, chunks: Any, bitmap: Any) -> Any:
        """The chunk in which libmtmd leaves a bitmap as it is; the marks that it puts around are not ours.

        It makes one image of a tile; for Idefics3 two, a grid of one slice and an overview. Within our limits both
        are the tile itself, and the overview, which comes last, is so by the least arithmetic.
        """
        marker = mtmd_cpp.mtmd_default_marker()
        text = mtmd_cpp.mtmd_input_text(marker, len(marker), False, True)
        bitmaps = (mtmd_cpp.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if mtmd_cpp.mtmd_tokenize(self.pointer, chunks, ctypes.byref(text), bitmaps, 1):
            raise _error("libmtmd cannot take a tile")
        found = [mtmd_cpp.mtmd_input_chunks_get(chunks, i) for i in range(mtmd_cpp.mtmd_input_chunks_size(chunks))]
        images = [
            chunk
            for chunk in found
            if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_IMAGE
        ]
        counts = {mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk) for chunk in images}
        if len(images) not in (1, 2) or len(counts) != 1:
            raise EngineError(f"libmtmd cut a tile into {len(images)} pieces")
        return images[-1]
