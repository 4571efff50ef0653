"""The measurement of a conversion, on a small preset: it measures what it says."""

import sys
from pathlib import Path

import pytest

from magicvl.bench.convert_memory import main
from magicvl.convert.sources import open_source
from magicvl.edge.gguf_check import read_gguf

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc"),
]


def test_every_step_is_measured(tmp_path: Path) -> None:
    result = main(["--preset", "magicvl-nano", "--work", str(tmp_path / "work")])
    source = open_source(tmp_path / "work" / "checkpoint")
    assert {stored.dtype for stored in source.stored.values()} == {"BF16"}
    steps = {str(cost["step"]): cost for cost in result["steps"]}
    assert list(steps) == ["preflight", "llm-wide.gguf", "llm.gguf in Q4_K_M", "mmproj.gguf"]
    assert all(0 < cost["peak_mib"] < 1000 for cost in steps.values())
    assert steps["llm.gguf in Q4_K_M"]["cpu_s"] > 0 < steps["mmproj.gguf"]["child_mib"]
    tensors = read_gguf(tmp_path / "work" / "bundle" / "llm.gguf").tensors
    assert tensors["blk.0.ffn_up.weight"].type == "Q4_K"
