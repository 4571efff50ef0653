"""The decoder's block types, made by llama.cpp itself, in a process of its own.

A separate process can be stopped at once, gives its memory back, and takes nobody down with it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import gguf

from magicvl.convert.progress import Steps
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import EngineError

LLM_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q6_K": gguf.LlamaFileType.MOSTLY_Q6_K,
    "Q5_K_M": gguf.LlamaFileType.MOSTLY_Q5_K_M,
    "Q4_K_M": gguf.LlamaFileType.MOSTLY_Q4_K_M,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
    "IQ4_NL": gguf.LlamaFileType.MOSTLY_IQ4_NL,
}
"""The types that `--llm-type` takes, and what the file says of itself."""
ROWS = {"Q8_0": 32, "Q6_K": 256, "Q5_K_M": 256, "Q4_K_M": 256, "Q4_0": 32, "IQ4_NL": 32}
"""Numbers in a block: rows that are no multiple of it fall back to a wider type."""
BUFFER = 2**28
"""Bytes that the runtime works on at once: rows in their own type, in F32 and in the new type."""

# [   3/ 47] blk.0.attn_q.weight - [...], type = f16, converting to q8_0 .. size = ...
_STEP = re.compile(r"^\[ *\d+/ *\d+\] +(\S+)")

# Runs in the child, which imports nothing of ours and so starts fast.
_CHILD = """
import ctypes, json, sys
import llama_cpp
source, target, file_type, threads, buffer = json.loads(sys.argv[1])
params = llama_cpp.llama_model_quantize_default_params()
params.ftype, params.nthread, params.max_buf_size = file_type, threads, buffer
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
"""


def quantise_llm(source: Path, target: Path, wanted: str, steps: Steps, threads: int = 0) -> list[str]:
    """Quantises a file of the decoder to a type of ROWS; `threads` of 0 takes every core.

    Gives the tensors whose rows the type could not hold, each with the type it got. Raises EngineError.
    """
    before = read_gguf(source)
    steps.begin(f"{target.name} in {wanted}", len(before.tensors), sum(t.size for t in before.tensors.values()))
    order = json.dumps([str(source.absolute()), str(target.absolute()), int(LLM_TYPES[wanted]), threads, BUFFER])
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, order],
        # Python looks for modules in the working directory first: let it be one that has none.
        cwd=source.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    tail: list[str] = []
    try:
        assert child.stderr is not None
        for line in child.stderr:
            tail = [*tail[-4:], line.strip()]
            if (step := _STEP.match(line)) and step[1] in before.tensors:
                steps.advance(before.tensors[step[1]].size)
        code = child.wait()
    finally:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.close()
    if code or not target.is_file():
        reason = " ".join(filter(None, tail)) or "no message"
        raise EngineError(f"llama.cpp could not quantise to {wanted} (exit code {code}): {reason}")
    return [
        f"{tensor.name} ({tensor.type})"
        for tensor in read_gguf(target).tensors.values()
        # The runtime's short convolutions are F32 in every file, whatever their rows.
        if len(tensor.shape) > 1
        and tensor.shape[0] % ROWS[wanted]
        and not tensor.name.endswith(".shortconv.conv.weight")
    ]
