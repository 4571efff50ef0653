"""Whether a bundle fits into the memory that is free, said before it is loaded and not by the system's killer.

What counts as needed is what must stay in memory for answers to come at the model's own speed:

weights   every file of the bundle, whole. The decoder's is mapped, so the system could drop its pages; but each token
          reads all of them, and from storage that takes seconds a token.
words     the vocabulary as llama.cpp holds it
encoder   scratch of the largest tile
context   keys and values of the tokens, and scratch that grows with them

llama.cpp may copy the decoder's weights into another order as it loads them; the mapped pages that they came from can
then be dropped, so they count once. A process that was measured (magicvl.edge.calibrate) still shows them, so what it
had resident is taken for the context's share, and for the rest only where it is less than the sum.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Final

from magicvl.edge.bundle import Bundle, Lock
from magicvl.edge.calibration_file import load_calibration
from magicvl.edge.decoding import BATCH
from magicvl.edge.free_memory import VARIABLE, free_memory
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.prediction import ANSWER, QUESTION
from magicvl.edge.sequences import CONTEXT_STEP, whole_steps
from magicvl.edge.timing import resident
from magicvl.errors import EngineError

KEY_BITS: Final = {"f16": 16.0, "q8_0": 8.5}
"""Bits of a number of a key, by type."""
WORD_BYTES: Final = 300
"""Memory of a token of the vocabulary with its merge: two texts, and their places in two tables."""
LLM_BITS: Final = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9}
"""Bits of a weight of what `magicvl convert --llm-type` makes, about; largest first."""
MMPROJ_BITS: Final = {"Q8_0": 8.5, "Q4_0": 4.5}
"""The same of `--mmproj-type`."""


@dataclass(frozen=True)
class Need:
    """Memory that a bundle needs beside what this process has, in bytes."""

    decoder: int
    """Its weights, an adapter's among them, and its vocabulary."""
    encoder: int
    """Its weights, and the scratch of the largest tile."""
    token: float
    """Of each token of context: keys, values and scratch."""
    tokens: int
    """Room of the context."""
    measured: int | None = None
    """What all but the context takes, where a calibration tells and it is less than the sum; None without."""

    @property
    def fixed(self) -> int:
        """All but the context."""
        return self.decoder + self.encoder if self.measured is None else self.measured

    @property
    def total(self) -> int:
        """All of it."""
        return round(self.fixed + self.token * self.tokens)


def needed_memory(
    bundle: Bundle, llm: GgufFile, tokens: int | None = None, key_type: str = "f16", *, captions: bool = False
) -> Need:
    """What loading a bundle and a context of `tokens` takes; None for that of one question about a full tile.

    `llm` is the header of the decoder's file, `captions` says whether the caption adapter is loaded with it.
    """
    lock = bundle.lock
    sizes = {role: entry.size for role, entry in lock.files.items()}
    words = WORD_BYTES * lock.language.vocabulary
    need = Need(
        decoder=sizes["llm"] + sizes.get("lora", 0) + (sizes.get("caption_lora", 0) if captions else 0) + words,
        encoder=sizes["mmproj"] + _encoder_scratch(lock),
        token=token_bytes(llm, key_type),
        tokens=first_context(lock) if tokens is None else tokens,
    )
    calibration = load_calibration(lock)
    if calibration is None or calibration.memory is None or key_type != "f16":
        return need
    memory = calibration.memory
    held = max(0, max(memory.loaded, memory.working) - (resident() or 0))
    return replace(need, token=memory.token, measured=min(held, need.fixed))


def first_context(lock: Lock) -> int:
    """Tokens of the context that a question about one full tile makes."""
    wanted = lock.grid.tile_tokens + QUESTION + ANSWER
    return min(whole_steps(wanted), lock.language.context)


def token_bytes(llm: GgufFile, key_type: str = "f16") -> float:
    """Bytes that each token of context takes: keys and values of all layers, and its column of the scores.

    Layers without attention (LFM2's convolutions) take none. What the header does not tell counts as nothing: the
    check that follows is no judge of files.
    """
    kind = str(llm.metadata.get("general.architecture", ""))
    layers = max(_numbers(llm, f"{kind}.block_count"), default=0)
    heads = max(_numbers(llm, f"{kind}.attention.head_count"), default=1)
    width = max(_numbers(llm, f"{kind}.embedding_length"), default=0)
    # One number for all layers, or one each.
    kept = _numbers(llm, f"{kind}.attention.head_count_kv") or (heads,)
    kept_heads = sum(kept) if len(kept) > 1 else layers * kept[0]
    key, value = (
        max(_numbers(llm, f"{kind}.attention.{name}_length"), default=width // max(1, heads))
        for name in ("key", "value")
    )
    return kept_heads * (key * KEY_BITS[key_type] + value * 16) / 8 + 4 * heads * BATCH


def check_memory(
    bundle: Bundle,
    llm: GgufFile,
    mmproj: GgufFile,
    tokens: int | None = None,
    *,
    key_type: str = "f16",
    captions: bool = False,
    free: int | None = None,
) -> None:
    """Raises EngineError where loading the bundle with a context of `tokens` needs more than is free.

    `llm` and `mmproj` are the headers of its files, `tokens` and `captions` are as in `needed_memory`; `free` is in
    bytes, None for what `free_memory` says. Where that tells nothing, nothing is refused.
    """
    free = free_memory() if free is None else free
    need = needed_memory(bundle, llm, tokens, key_type, captions=captions)
    if free is None or need.total <= free:
        return
    raise EngineError(
        f"{bundle.lock.name} needs about {_size(need.total)} of memory (decoder {_size(need.decoder)}, encoder "
        f"{_size(need.encoder)}, a context of {need.tokens:,} tokens {_size(round(need.token * need.tokens))}), "
        f"{_size(free)} are free: {', or '.join(_ways_out(bundle, llm, mmproj, need, free))}"
    )


def check_context(token: float, tokens: int, *, adapter: int = 0, free: int | None = None) -> None:
    """Raises EngineError where a context of `tokens`, `token` bytes each, needs more than is free.

    For a bundle that is loaded already, but for an adapter of so many bytes; `free` as in `check_memory`.
    """
    free = free_memory() if free is None else free
    if free is None or adapter + token * tokens <= free:
        return
    fitting = _fitting_steps((free - adapter) / token)
    smaller = f" (about {fitting:,} tokens fit)" if fitting else ""
    raise EngineError(
        f"a context of {tokens:,} tokens{' with its adapter' if adapter else ''} takes about "
        f"{_size(round(adapter + token * tokens))} of memory, {_size(free)} are free: "
        f"set a smaller budget, ask for fewer tokens, or give fewer pictures{smaller}"
    )


def fitting_context(need: Need, free: int) -> int:
    """The most tokens of context that fit into `free` bytes beside the rest, in whole steps; 0 where none do."""
    return _fitting_steps((free - need.fixed) / need.token)


def _encoder_scratch(lock: Lock) -> int:
    """What the largest tile takes on its way through a layer: scores of all heads, both halves of the block, F32."""
    vision = lock.vision
    patches = lock.grid.tile_tokens * vision.unshuffle**2
    return 4 * patches * (vision.heads * patches + 6 * vision.width + 2 * vision.feed_forward)


def _numbers(llm: GgufFile, key: str) -> tuple[int, ...]:
    """The whole number or numbers under a key, none where there are none."""
    found = llm.metadata.get(key)
    values = found if isinstance(found, tuple) else (found,)
    return tuple(value for value in values if isinstance(value, int) and value >= 0)


def _ways_out(bundle: Bundle, llm: GgufFile, mmproj: GgufFile, need: Need, free: int) -> list[str]:
    """What would make it fit, for this very bundle."""
    fitting = fitting_context(need, free)
    ways = [f"take a context of {fitting:,} tokens"] if fitting else []
    if smaller := _smaller_types(bundle, llm, mmproj, need, free):
        ways.append(smaller)
    ways.append("close other programs" if ways else "close other programs, or take a smaller model")
    return [*ways, f"allow more with {VARIABLE}=MB if you know better"]


def _fitting_steps(tokens: float) -> int:
    return max(0, int(tokens) // CONTEXT_STEP * CONTEXT_STEP)


def _smaller_types(bundle: Bundle, llm: GgufFile, mmproj: GgufFile, need: Need, free: int) -> str | None:
    """The widest types of a new conversion with which it fits; None where there are none."""
    if bundle.lock.files["llm"].package is not None:
        return None
    encoders = [("", 0)] + [(f" --mmproj-type {name}", _saved(mmproj, bits)) for name, bits in MMPROJ_BITS.items()]
    for more, saved_encoder in encoders:
        for name, bits in LLM_BITS.items():
            total = need.total - _saved(llm, bits) - saved_encoder
            if _saved(llm, bits) > 0 and saved_encoder >= 0 and total <= free:
                return f"convert it again with --llm-type {name}{more} (about {_size(total)} then)"
    return None


def _saved(file: GgufFile, bits: float) -> int:
    """Bytes fewer that a file's weights take with so many bits each."""
    return sum(tensor.size - round(prod(tensor.shape) * bits / 8) for tensor in file.tensors.values())


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
