"""What looks wrong in a GGUF file or a bundle, from headers and sizes alone."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from types import MappingProxyType

from magicvl.edge.bundle import Bundle
from magicvl.edge.gguf_check import GgufFile
from magicvl.edge.pair import check_lora, check_pair
from magicvl.errors import BundleError

_LAYER_PREFIX = {"clip": ("v.blk.", "clip.vision.block_count")}
_TEMPLATE = "tokenizer.chat_template"
FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "ALL_F32",
        1: "MOSTLY_F16",
        2: "MOSTLY_Q4_0",
        3: "MOSTLY_Q4_1",
        7: "MOSTLY_Q8_0",
        8: "MOSTLY_Q5_0",
        9: "MOSTLY_Q5_1",
        10: "MOSTLY_Q2_K",
        11: "MOSTLY_Q3_K_S",
        12: "MOSTLY_Q3_K_M",
        13: "MOSTLY_Q3_K_L",
        14: "MOSTLY_Q4_K_S",
        15: "MOSTLY_Q4_K_M",
        16: "MOSTLY_Q5_K_S",
        17: "MOSTLY_Q5_K_M",
        18: "MOSTLY_Q6_K",
        19: "MOSTLY_IQ2_XXS",
        20: "MOSTLY_IQ2_XS",
        21: "MOSTLY_Q2_K_S",
        22: "MOSTLY_IQ3_XS",
        23: "MOSTLY_IQ3_XXS",
        24: "MOSTLY_IQ1_S",
        25: "MOSTLY_IQ4_NL",
        26: "MOSTLY_IQ3_S",
        27: "MOSTLY_IQ3_M",
        28: "MOSTLY_IQ2_S",
        29: "MOSTLY_IQ2_M",
        30: "MOSTLY_IQ4_XS",
        31: "MOSTLY_IQ1_M",
        32: "MOSTLY_BF16",
        36: "MOSTLY_TQ1_0",
        37: "MOSTLY_TQ2_0",
        38: "MOSTLY_MXFP4_MOE",
        39: "MOSTLY_NVFP4",
        40: "MOSTLY_Q1_0",
        1024: "GUESSED",
    }
)
"""llama.cpp's numbers of `general.file_type`; to import the gguf package for them takes longer than to check a file."""


def file_doubts(file: GgufFile) -> list[str]:
    """What is odd about one file; empty where nothing is."""
    return [*_type(file), *_layers(file), *_words(file), *_rest(file)]


def bundle_doubts(bundle: Bundle, files: dict[str, GgufFile]) -> list[str]:
    """What is odd about a bundle beside its files. Sizes are compared; hashes would take reading everything."""
    doubts = []
    for role, entry in bundle.lock.files.items():
        size = files[role].path.stat().st_size
        if size != entry.size:
            doubts.append(f"{entry.path} has {size:,} bytes, the lock says {entry.size:,}: copy or convert it again")
    try:
        check_pair(bundle.lock, files["llm"], files["mmproj"])
        for role in ("lora", "caption_lora"):
            if role in files:
                check_lora(files["llm"], files[role])
    except BundleError as error:
        doubts.append(str(error))
    if not bundle.lock.parity:
        doubts.append("it was never compared with its checkpoint: magicvl parity CHECKPOINT BUNDLE does that")
    elif not bundle.lock.parity.get("passed"):
        doubts.append(f"magicvl parity found a fault at: {bundle.lock.parity.get('failed_at')}")
    return doubts


def _type(file: GgufFile) -> Iterator[str]:
    """`general.file_type` against the type that most numbers have."""
    counts: Counter[str] = Counter()
    for tensor in file.tensors.values():
        if len(tensor.shape) > 1:
            counts[tensor.type] += prod(tensor.shape)
    claimed = file.metadata.get("general.file_type")
    if claimed is None or not counts:
        return
    if not isinstance(claimed, int):
        yield f"general.file_type is {claimed!r}, a whole number is due"
        return
    if claimed not in FILE_TYPES:
        yield f"general.file_type is {claimed!r}, which llama.cpp does not know"
        return
    name = FILE_TYPES[claimed]
    # MOSTLY_Q4_K_M says Q4_K.
    kind = re.sub(r"_(S|M|L|XL)$", "", name.partition("_")[2])
    if kind not in counts or counts[kind] < max(counts.values()):
        yield f"general.file_type says {name}, most numbers are {counts.most_common(1)[0][0]}"


def _layers(file: GgufFile) -> Iterator[str]:
    """A file whose blocks are not there is the 1 kB one that nobody noticed."""
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        yield "it has no general.architecture"
        return
    if file.metadata.get("general.type") == "adapter":
        return
    prefix, key = _LAYER_PREFIX.get(architecture, ("blk.", f"{architecture}.block_count"))
    due = file.metadata.get(key)
    there = {name.removeprefix(prefix).split(".")[0] for name in file.tensors if name.startswith(prefix)}
    if isinstance(due, int) and len(there) != due:
        yield f"{key} is {due}, the file has tensors of {len(there)} blocks"
    if not file.tensors:
        yield "it holds no tensor"


def _words(file: GgufFile) -> Iterator[str]:
    if "tokenizer.ggml.tokens" not in file.metadata:
        return
    if not file.metadata.get(_TEMPLATE):
        yield f"no chat template ({_TEMPLATE}): the decoder cannot be asked as it was trained"
    if "tokenizer.ggml.eos_token_id" not in file.metadata:
        yield "no tokenizer.ggml.eos_token_id: nothing ends an answer"
    tokens = file.texts("tokenizer.ggml.tokens")
    rows = {tensor.shape[-1] for name, tensor in file.tensors.items() if name == "token_embd.weight"}
    if rows and len(tokens) not in rows:
        yield f"{len(tokens):,} tokens, and an embedding table of {rows.pop():,} rows"


def _rest(file: GgufFile) -> Iterator[str]:
    """Bytes that no tensor owns."""
    end = max((tensor.offset + tensor.size for tensor in file.tensors.values()), default=0)
    size = os.stat(file.path).st_size
    owned = sum(tensor.size for tensor in file.tensors.values())
    spare = 2**16 * (1 + len(file.tensors))
    if end and size - end > 2**16:
        yield f"{size - end:,} bytes after the last tensor belong to nothing"
    if file.tensors and end - min(t.offset for t in file.tensors.values()) - owned > spare:
        yield "there are gaps between the tensors"
