"""The decoder's block types, made by llama.cpp itself, in a process of its own.

A separate process can be stopped at once, gives its memory back, and takes nobody down with it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from magicvl.convert.progress import Steps
from magicvl.edge.gguf_check import read_gguf
from magicvl.errors import EngineError

LLM_TYPES = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15}
"""The types that `--llm-type` takes, and llama.cpp's file type."""
ROWS = {"F16": 1, "Q8_0": 32, "Q4_K_M": 256}
"""Numbers in a block: rows that are no multiple of it fall back to a wider type."""

# [   3/ 47] blk.0.attn_q.weight - [...], type = f16, converting to q8_0 .. size = ...
_STEP = re.compile(r"^\[ *\d+/ *\d+\] +(\S+)")

# Runs in the child, which imports nothing of ours and so starts fast.
_CHILD = """
import ctypes, json, sys
import llama_cpp
source, target, file_type, threads = json.loads(sys.argv[1])
params = llama_cpp.llama_model_quantize_default_params()
params.ftype, params.nthread = file_type, threads
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
"""


def quantise_llm(source: Path, target: Path, wanted: str, steps: Steps, threads: int = 0) -> list[str]:
    """Quantises a file of the decoder; `threads` of 0 takes every core.

    Gives the tensors whose rows the type could not hold, each with the type it got. Raises EngineError.
    """
    before = read_gguf(source)
    steps.begin(f"{target.name} in {wanted}", len(before.tensors), sum(t.size for t in before.tensors.values()))
    order = json.dumps([str(source.absolute()), str(target.absolute()), LLM_TYPES[wanted], threads])
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
        if len(tensor.shape) > 1 and tensor.shape[0] % ROWS[wanted]
    ]
